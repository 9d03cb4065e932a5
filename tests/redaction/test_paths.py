"""Absolute paths become `~/rest` or their last part; what only looks like one stays the same object."""

from __future__ import annotations

import pytest

from usagetrace.redaction import Redactor, redact

SHORTENED = [
    ("/home/ada", "~"),
    ("/home/ada/", "~"),
    ("/home/ada/app", "~/app"),
    ("/home/ada/app/", "~/app/"),
    ("/home/adam/app", "~/app"),
    ("/home/ada.bak/x", "~/x"),
    ("/home/ada-old/x", "~/x"),
    ("/home/bob", "~"),
    ("/Users/bob/Library/Application Support/x.json", "~/Library/Application Support/x.json"),
    ("/root", "~"),
    ("/root/.ssh/id_rsa", "~/.ssh/id_rsa"),
    ("/mnt/c/Users/bob/x", "~/x"),
    ("/export/home/bob/x", "~/x"),
    (r"C:\Users\bob\x\y.txt", "~/x/y.txt"),
    (r"C:\Users\Ada Lovelace\x.txt", "~/x.txt"),
    (r"C:\Users\Ada Lovelace", "~"),
    (r"'C:\Users\Ada Lovelace'", "'~'"),
    ("C:/Users/bob/x", "~/x"),
    (r"C:\\Users\\bob\\x.txt", "~/x.txt"),
    (r"\Users\bob\x", "~/x"),
    (r"C:\Program Files\Foo\bar.exe", "bar.exe"),
    (r"D:\data\x.csv", "x.csv"),
    (r"\\srv\share\dir\f.txt", "f.txt"),
    (r"\\?\C:\Users\bob\x", "~/x"),
    (r"\\?\C:\data\x.csv", "x.csv"),
    (r"\\?\UNC\srv\share\x\y.txt", "y.txt"),
    ("file:///home/ada/x.txt", "~/x.txt"),
    ("file:///home/bob/x%20y.txt", "~/x y.txt"),
    ("file:///etc/passwd", "passwd"),
    ("file:///C:/Users/bob/x.txt", "~/x.txt"),
    ("file://server/share/x.txt", "x.txt"),
    ("see /etc/hosts.", "see hosts."),
    ("in /home/ada.", "in ~."),
    ("open('/home/ada/My Docs/x.txt') failed", "open('~/My Docs/x.txt') failed"),
    ('open "/opt/My App/bin/tool" now', 'open "tool" now'),
    ('File "/usr/lib/python3.11/json/__init__.py", line 3', 'File "__init__.py", line 3'),
    ("/usr/bin/python src/app.py --x=/var/lib/x.db", "python src/app.py --x=x.db"),
    ("PATH=/usr/bin:/bin:/home/ada/bin", "PATH=bin:/bin:~/bin"),
    ("gcc -I/usr/include/foo x.c", "gcc -Ifoo x.c"),
    ('{"p": "/home/ada/x", "n": 1.5}', '{"p": "~/x", "n": 1.5}'),
    ('{"p":"/srv/a/b"}', '{"p":"b"}'),
    ('{\\"p\\": \\"/srv/a/b\\"}', '{\\"p\\": \\"b\\"}'),
    ('{"p": "/srv/a/b', '{"p": "b'),
    ("/srv/data/projects/x.py", "x.py"),
    ("/zeta/build/cache/foo.bin", "foo.bin"),
    ("/private/var/folders/ab/cd/T/tmp1", "tmp1"),
    ("/dev/null", "null"),
    ("/var/log/", "log"),
    ("/tmp/x and /tmp/a/b, then c", "x and b, then c"),
    ("cp /a/b /c/d", "cp b d"),
    ("在/home/bob/x目录", "在~/x目录"),
    ("/home/ada/café/naïve.txt", "~/café/naïve.txt"),
    ("sqlite:////home/ada/x.db", "sqlite:///~/x.db"),
    ("git+ssh://host/home/bob/r.git", "git+ssh://host/~/r.git"),
    ("jar:file:/home/ada/x.jar!/y", "jar:file:~/x.jar!/y"),
    ("/Volumes/My Disk/Project X/f.txt", "f.txt"),
    ("/opt/foo(x86)/bar/baz", "baz"),
    ("(/etc/ssl/certs)", "(certs)"),
    ("</etc/x/y>", "<y>"),
    ("`/opt/a/b`", "`b`"),
    ("/home/ada/x,/home/ada/y", "~/x,~/y"),
    ("\\/home\\/ada\\/x", "~/x"),
    ("--prefix=/usr/local", "--prefix=local"),
    ("PosixPath('/srv/x/y')", "PosixPath('y')"),
    ("error:/usr/lib/x.so:3", "error:x.so:3"),
    ("https://x.io/open?file=/home/bob/x&y=1", "https://x.io/open?file=~/x&y=1"),
    ("saved to /opt/out/ab.csv: 3 rows", "saved to ab.csv: 3 rows"),
]

UNCHANGED = [
    "src/app/main.py",
    "./x/y",
    "../x/y",
    "/users/{id}",
    "/users/{id}/posts",
    "/items/:id/edit",
    "/review",
    "/help me",
    "/api/v1/users/42",
    "GET /orders/17/items HTTP/1.1",
    "GET /alpha/beta",
    "and/or",
    "owner/name",
    "application/json",
    "text/html; charset=utf-8",
    "2024/01/02",
    "01/02/2024",
    "3/4",
    "24/7",
    "client/server patterns",
    "feature/foo-bar",
    "arn:aws:s3:::bucket/key/x",
    "arn:aws:apigateway:us-east-1::/restapis/abc/stages/x",
    "pkg:npm/%40scope/name@1.0.0",
    "**/*.py",
    "src/**/*.ts",
    "/a{b,c}/d",
    "/src-x/**/*.ts",
    "s3://bucket/key/a",
    "docker.io/library/x:1",
    "@scope/pkg/x",
    "#/components/schemas/X",
    "//cdn.example.com/x.js",
    "</div>",
    "<br/>",
    "a / b",
    "I/O",
    "/^foo$/",
    "TCP/IP",
    "*/*",
    "$HOME/x/y",
    "${ROOT}/usr/bin",
    r"%APPDATA%\x",
    r"\d+\w",
    r"a\nb",
    "/pkg.v1.Service/Method",
    "km/h",
    "/static/app.js",
    "https://example.com/a/b/c?x=1#frag",
    "https://github.com/o/n/blob/main/x.py",
    "http://localhost:4318/v1/traces",
    "postgres://db.example.com/x",
    "/",
    "//",
    "\\",
    "~",
    "~/x/y",
    "C:",
    "c:d/e",
    "AC/DC",
    "s/foo/bar/g",
    "C:\\",
    "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
]


@pytest.mark.parametrize(("path", "expected"), SHORTENED)
def test_paths_are_shortened_in_place(redactor: Redactor, path: str, expected: str) -> None:
    """Homes become `~`, other directories go, the words around stay; a second pass changes nothing."""
    assert expected == redactor.text(path)
    assert expected == redactor.text(expected)


@pytest.mark.parametrize("text", UNCHANGED)
def test_what_is_no_absolute_path_stays(redactor: Redactor, text: str) -> None:
    """Relative paths, URLs, routes, globs, names and ratios come back as the same object."""
    assert redactor.text(text) is text


@pytest.mark.parametrize("home", ["", "/"])
def test_without_a_home_there_is_no_home_rule(home: str) -> None:
    """HOME empty or `/` hides nothing and breaks nothing; other users' homes are still known."""
    engine = Redactor(home=home, user_name="", host_name="")
    assert engine.text("/opt/a/x.py") == "x.py"
    assert engine.text("/home/ada/x.py") == "~/x.py"


def test_a_home_behind_a_link_is_known_in_both_spellings() -> None:
    """Both the link's and the target's spelling of a home become `~`."""
    engine = Redactor(home="/u/ada", user_name="", host_name="", extra_homes=("/data/disk7/ada",))
    assert engine.text("/u/ada/x and /data/disk7/ada/y") == "~/x and ~/y"


@pytest.mark.parametrize(
    "text", [r"C:\Users\Ada L\x.py", "c:/users/ada l/x.py", "\\\\?\\C:\\Users\\Ada L\\x.py", r"C:\\Users\\Ada L\\x.py"]
)
def test_a_windows_home_is_known_in_every_spelling(text: str) -> None:
    """Case, separators, doubled backslashes and a long-path prefix make no difference."""
    engine = Redactor(home=r"C:\Users\Ada L", user_name="", host_name="")
    assert engine.text(text) == "~/x.py"


def test_another_users_home_needs_no_running_user() -> None:
    """The module function shortens any user's home, whoever runs it."""
    assert redact("project.path", "/home/ada/app") == "~/app"


def test_a_path_key_lets_a_whole_value_be_one_path(redactor: Redactor) -> None:
    """Under a key that means a path, spaces belong to the path."""
    assert redactor.redact("output.dir", "/opt/my things/and more/x") == "x"


def test_a_route_key_keeps_what_looks_like_a_path(redactor: Redactor) -> None:
    """Under a key that means an URL, unknown first parts are routes; a home is one nowhere."""
    assert redactor.redact("http.route", "/alpha/beta") == "/alpha/beta"
    assert redactor.redact("http.target", "/home/bob/x") == "~/x"
