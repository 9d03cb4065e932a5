"""Values that are code, titles or numbers stay; their private neighbours, of the same form, go."""

from __future__ import annotations

import pytest

from usagetrace.redaction import Redactor

REDACTOR = Redactor("/home/ada", "lovelace", "analytical-engine")
WORD = "Zq8vT3" + "mK9xLp2w"
# Of letters, digits and signs, as password managers make them.
MADE = (
    "Ab(3xY" + "z9!",
    "$Rs9ZO3" + "j9UJLk",
    "&Fi2MZ" + "PuCM",
    "^4Pqt" + "MCBza",
    "Q(X8NP" + "7tr",
    "{{h}o)p${e]nob" + "(ody[x7}}",
)
# What stays, and the same with something private in it.
PAIRS = (
    ("PASS: tests/cart.sh", f"PASS: {WORD}"),
    ("--- PASS: FuzzCart", f"--- PASS: {WORD}"),
    ("PASS  src/cart/x.test.ts", f"PASS {WORD}"),
    ('token = "=>"', f'token = "{WORD}"'),
    ("Token: '#dddddd'", f"Token: '{WORD}'"),
    (r"IDENT_TOKEN = r'[^\W\d]\w*'", f"IDENT_TOKEN = r'{WORD}'"),
    ('SEND_TOKEN = "send"', f'SEND_TOKEN = "send{WORD}"'),
    ('"input_token": "NextToken"', f'"input_token": "{WORD}"'),
    ("next_token = groups[-1].name", f"next_token = {WORD}"),
    ("self.styles[token] = (a, b)", f'self.styles["token"] = "{WORD}"'),
    ("auth: AuthTypes | None = None", f"auth: {WORD} | None"),
    ("credentials: Optional[grpc.CallCredentials]", f"credentials: {WORD}"),
    ('"displayName": "Weekly overview"', '"displayName": "Mina Okafor"'),
    ("display_name: Weekly overview", "display_name: Mina Okafor"),
    ('fullname = "shapes.Circle"', 'fullname = "Mina Okafor"'),
    ("IPPROTO_MOBILE = 55", "USER_MOBILE = 5550199123"),
    ("EVFILT_USER = 0x5", "EVFILT_USER = mina0x5"),
    ("signature = p_typ", f"signature = {WORD}"),
    ('<a accesskey="n">', f'<a accesskey="{WORD}">'),
    ("[-pass arg]", f"[-pass {WORD}]"),
    ("--private-key=FILE|PATH", f"--private-key={WORD}"),
    ("-u, --user <user:password>", f"-u mina:{WORD}"),
    ("https://a.example/?code=fn%20main()%20%7B%7D", f"https://a.example/?code={WORD}"),
    ("section 8.1.2.2 of it", "section at 8.1.2.2 of it"),
    ("opencv 4.14.0.94", "host 4.14.0.94"),
    ("broken in 1.6.0.1.", "server 1.6.0.1."),
    ("2.5.29.35", "2.5.39.35"),
    ("sr@latin.UTF-8", "sr" + "@" + "latin.example.org"),
    ("m=+9000000000.0000", "m=+4930901820"),
    ("DFARS 252.227-7013", "call 252-227-7013"),
    (r'printf("%s:\n", x)', r'open("C:\data\x")'),
    (r"'\\hline\\n'", r"'\\server\hline\n'"),
    ("/x41/x42/x43", "/x41/x42/xyz"),
    ("[guide](/commands/install)", "[guide](/opt/commands/install)"),
    ("sed -e '/CVS/d'", "sed -e x '/srv/CVS/d'"),
    ("Net::SMTP::mail: 8BITMIME", "mail: mina8"),
)  # fmt: skip


@pytest.mark.parametrize(("harmless", "private"), PAIRS)
def test_what_only_sounds_private_stays_and_its_neighbour_goes(harmless: str, private: str) -> None:
    """A verdict, a type, a title or a number stays as the same object; what is private in the same place does not."""
    assert REDACTOR.redact("note", harmless) is harmless
    assert REDACTOR.redact("note", private) != private


@pytest.mark.parametrize("form", ['password = "%s"', "password: '%s'", '"password": "%s", x', "token = '%s'"])
@pytest.mark.parametrize("value", MADE)
def test_a_password_with_signs_of_code_goes(value: str, form: str) -> None:
    """A quoted password with brackets, a dollar or an ampersand in it is no expression."""
    assert value not in str(REDACTOR.redact("note", form.replace("%s", value)))


@pytest.mark.parametrize("form", ["password=%s", "DB_PASS=%s", "run --password %s"])
@pytest.mark.parametrize("value", MADE[:5])
def test_a_password_without_quotes_is_no_call(value: str, form: str) -> None:
    """A bracket that is opened and not closed makes no call of a password, nor a dollar a variable."""
    assert value not in str(REDACTOR.redact("note", form.replace("%s", value)))


@pytest.mark.parametrize(
    "text",
    [
        r"r'\d\d:\d\d:\d\d '",
        "X:/a:/b and /a/b:/c/d",
        r"file://c:/x or file://c:\x",
        r"'Set-Cookie: a=b\r\nSet-Cookie: c=d'",
        "C<file:///etc/passwd>. See L</protocols>",
        r"sed /\/CVS\//d",
        '"1.2.3.4|5.6.7.8"',
        "page_token: _Optional[str] = ...,",
    ],
)
def test_a_second_pass_changes_nothing(text: str) -> None:
    """What is left of one finding makes no other one with what stands beside it."""
    once = REDACTOR.redact("note", text)
    assert REDACTOR.redact("note", once) == once
