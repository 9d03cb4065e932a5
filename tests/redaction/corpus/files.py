"""Whole settings files and request bodies: several secrets in one text, among much that must stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random

from tests.redaction.corpus import made
from tests.redaction.corpus.kinds import Raw, some
from tests.redaction.corpus.made import BASE62, BASE64, NAMES, WORDS

# ‹password›, ‹key›, ‹b64›, ‹mail›, ‹name› and ‹ip› are private; ‹w› is a word.
FILES = (
    "[default]\naws_access_key_id = ‹aws›\naws_secret_access_key = ‹b64›\nregion = eu-central-1\noutput = json\n",
    "# settings of ‹w›\nDEBUG=true\nPORT=8080\nDB_USER=⟨app⟩\nDB_PASSWORD=‹password›\nAPI_KEY=‹key›\nLOG_LEVEL=info\n",
    "machine git.example.com\n  login ⟨‹n›⟩\n  password ‹password›\nmachine other.example.com\n  login ⟨x⟩\n"
    "  password ‹key›\n",
    'database:\n  host: db.example.com\n  port: 5432\n  password: "‹password›"\ncache:\n  ttl: 60\n'
    '  auth_token: ‹key›\n',
    '[database]\nhost = "db.example.com"\npassword = "‹password›"\npool = 5\n\n[mail]\nsender = "‹mail›"\n'
    'retries = 3\n',
    '{\n  "name": "‹w›",\n  "port": 8080,\n  "clientSecret": "‹key›",\n'
    '  "nested": {"password": "‹password›", "on": true}\n}',
    '{"auths": {"registry.example.com": {"auth": "‹b64›"}}, "credsStore": ""}',
    'variable "region" { default = "eu" }\nresource "x" "‹w›" {\n  size     = 3\n  password = "‹password›"\n'
    '  token    = "‹key›"\n}\n',
    "server.port=8080\nspring.datasource.username=⟨app⟩\nspring.datasource.password=‹password›\n"
    "spring.main.banner-mode=off\n",
    "username=⟨‹n›⟩&password=‹password›&remember=1&page=‹w›",
    '<config>\n  <port>80</port>\n  <password>‹password›</password>\n  <apiKey>‹key›</apiKey>\n'
    '  <theme>‹w›</theme>\n</config>',
    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: ‹w›\ntype: Opaque\nstringData:\n  password: ‹password›\n"
    "  api-key: ‹key›\n",
    "POST /v1/login HTTP/1.1\r\nHost: example.com\r\nAuthorization: ⟨Bearer ⟩‹key›\r\n"
    "Content-Type: application/json\r\n\r\n"
    '{"email": "‹mail›", "password": "‹password›", "remember": true}',
    "CREATE USER ‹w› WITH PASSWORD '‹password›';\nGRANT SELECT ON orders TO ‹w›;",
    "version: '3'\nservices:\n  db:\n    image: postgres:16\n    environment:\n"
    "      POSTGRES_PASSWORD: ‹password›\n      TZ: UTC\n",
    "docker run -e API_TOKEN=‹key› -e MODE=fast -p 8080:80 ‹w›:latest --password ‹password›",
    "export DATABASE_URL=postgres://⟨app:⟩‹key›@db.example.com:5432/shop\nexport SECRET_KEY='‹password›'\n"
    "export LANG=C.UTF-8\n",
    "2026-03-01T10:00:00Z INFO login ok user=‹mail› ip=‹ip› took=12ms\n"
    "2026-03-01T10:00:01Z WARN retry token=‹key› attempt=2\n",
    "hosts:\n  - name: ‹w›\n    address: ‹ip›\n    ssh_password: ‹password›\n  - name: second\n    address: ‹ip›\n",
    "//registry.example.com/:_authToken=‹key›\n//registry.example.com/:email=‹mail›\nalways-auth=true\n",
    "client_id=⟨abc⟩&client_secret=‹key›&grant_type=client_credentials&scope=read",
    "- hosts: web\n  vars:\n    retries: 3\n    db_password: ‹password›\n  tasks:\n    - name: install ‹w›\n",
    "[user]\n\temail = ‹mail›\n[core]\n\teditor = vim\n[credential]\n\thelper = store\n",
    "val config = Config(host = \"db\", password = \"‹password›\", retries = 3, token = \"‹key›\")",
    "&cli.Options{Host: \"db\", Password: \"‹password›\", Token: \"‹key›\", Retries: 3}",
    "Settings(host='db', password='‹password›', api_key='‹key›', retries=3)",
    "{:host \"db\" :password \"‹password›\" :retries 3}",
    "token1=‹key› then token2=‹key›; mail ‹mail› about both",
    "X-Auth-Token:\n  - ‹key›\nAccept:\n  - text/plain\n",
    "api_keys:\n- ‹key›\n- '‹key›'\nport: 80\n",
    "stringData:\n  password: |-\n    ‹password›\n  ‹w›: b\n",
    "INSERT INTO users (id, name, password) VALUES (1, '‹w›', '‹password›'), (2, 'b', '‹password›');",
    "name,password,city\n‹w›,‹password›,Rome\nother,‹password›,Oslo\n",
    "| name | api token |\n|------|-----------|\n| ‹w› | ‹key› |\n| b | ‹key› |",
    "NAME   TOKEN          AGE\n‹w›     ‹key›   3d\n",
    'tokens = ["‹key›", "‹key›"]',
    "tokens = {'ci': '‹key›', 'cd': '‹key›'}",
    'var apiKey string = "‹key›"\nvar retries = 3',
    'string password = @"‹password›"; int retries = 3;',
    'char password[] = "‹password›";',
    "Dim pwd As String = \"‹password›\"",
    "user=⟨‹w›⟩|password=‹password›|retries=3",
    "Command '['mysql', '-uroot', '-p‹password›', 'shop']' returned 1",
    "Command '['sshpass', '-p', '‹password›', 'ssh', 'h9']' failed",
)  # fmt: skip
HARMLESS = (
    '[project]\nname = "‹w›"\nversion = "1.2.3"\nrequires-python = ">=3.10"\n'
    'authors = [{ name = "The ‹w› authors" }]\n',
    "FROM python:3.11-slim\nCOPY src ./src\nRUN pip install --no-cache-dir ‹w›\nEXPOSE 8080\n"
    "CMD [\"‹w›\", \"--verbose\"]\n",
    "on:\n  push:\n    branches: [main]\njobs:\n  test:\n    steps:\n      - run: make test\n        env:\n"
    "          TOKEN: ${{ secrets.TOKEN }}\n",
    "2026-03-01T10:00:00Z INFO ‹w› started pid=4711 took=12ms tokens=128 status=ok\n"
    "2026-03-01T10:00:01Z WARN retry 2 of 5\n",
    "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, password_hash TEXT, token_count INTEGER);",
    "SELECT id, password FROM users WHERE token_type = ? ORDER BY id LIMIT 10",
    "def check(password: str, token: str | None = None) -> bool:\n    if not password:\n"
    "        raise ValueError('password is empty')\n"
    "    return verify(password, token)\n",
    "| name | tokens | ms |\n|---|--:|--:|\n| ‹w› | 1,024 | 3.5 |\n| other | 77 | 12/15 |\n",
    "# ‹w›\n\nA skill for client/server patterns. See docs/usage.md and src/‹w›/main.py.\n\n- fast\n- and/or safe\n",
    '{"matches": [{"name": "‹w›", "score": 0.93, "path": "skills/‹w›/SKILL.md"}], "total": 1, "took_ms": 3.5}',
    '{"usage": {"input_tokens": 1200, "output_tokens": 300}, "model": "claude-sonnet-4", "stop_reason": "end_turn"}',
    '{"type": "object", "required": ["password", "token"], "properties": {"size": {"type": "integer", "minimum": 8}}}',
    "diff --git a/src/‹w›.py b/src/‹w›.py\nindex 83db48f..bf269f4 100644\n--- a/src/‹w›.py\n+++ b/src/‹w›.py\n"
    "@@ -1,3 +1,4 @@\n+import re\n",
    "Usage: ‹w› [OPTIONS] COMMAND\n\n  --token TEXT     token to use\n  --password TEXT  password to use\n"
    "  --verbose        say more\n",
    "<form action=\"/login\"><input type=\"password\" name=\"password\"><input name=\"q\" value=\"‹w›\"></form>",
    "paths:\n  /users/{id}:\n    get:\n      summary: One user\n  /users/{id}/‹w›:\n    post:\n      security: []\n",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8\nDate: Mon Mar 2 10:00:00 2026 +0100\n\n"
    "    Fix the token counter of ‹w›\n",
    "Collecting ‹w›==1.2.3\n  Downloading ‹w›-1.2.3-py3-none-any.whl (17 kB)\nSuccessfully installed ‹w›-1.2.3\n",
    "tests/test_‹w›.py::test_password_policy PASSED [ 50%]\ntests/test_‹w›.py::test_token_count PASSED [100%]\n"
    "2 passed in 0.12s\n",
    "import { Auth } from './auth';\nexport const useToken = () => useContext(TokenContext);\n// token: see ../docs\n",
    "Feature: reset a password\n  Scenario: the user forgot the password\n"
    "    When a user asks for a new password\n    Then a mail is sent\n",
    "for (int i = 0; i < n; ++i) { sum += a[i] / b[i]; } // O(n)\n",
    "x = {'author': '‹w›', 'keys': ['a', 'b'], 'passed': True, 'ratio': 3/4}",
    "Dear team,\n\n"
    "please reset your passwords by Friday, and don't share tokens. The keys to the office are at the desk.\n\nThanks",
    "name,tokens,version\n‹w›,12,1.2.3\nother,7,2.0.0\n",
    "graph TD;\n  A[client] -->|token| B(server);\n  B --> C{auth?};\n",
)  # fmt: skip
_PLACE = re.compile("‹(\\w+)›")
_MAKE: dict[str, Callable[[Random], str]] = {
    "password": lambda rng: f"⟦{made.password(rng)}⟧",
    "key": lambda rng: f"⟦{made.machine(rng, 36)}⟧",
    "aws": lambda rng: "⟦AK" + "IA" + some(rng, made.BASE32, 16) + "⟧",
    "b64": lambda rng: f"⟦{some(rng, BASE62, 1) + some(rng, BASE64, 38) + some(rng, BASE62, 1)}⟧",
    "mail": lambda rng: f"⟦{rng.choice(NAMES)}@{rng.choice(WORDS)}.example⟧",
    "ip": lambda rng: f"⟦{made.ipv4(rng)}⟧",
    "n": lambda rng: rng.choice(NAMES),
    "w": lambda rng: rng.choice(WORDS),
}


def files(rng: Random) -> Iterator[Raw]:
    """Yield settings files, bodies and statements with one secret or several."""
    for form in FILES:
        for _ in range(2):
            # The word is the same throughout one text, as a name is.
            word = rng.choice(WORDS)
            yield Raw(_PLACE.sub(lambda found: _MAKE[found[1]](rng), form.replace("‹w›", word)), "body")


def harmless(rng: Random) -> Iterator[Raw]:
    """Yield whole texts of the same kinds with nothing private in them."""
    for form in HARMLESS:
        yield Raw(form.replace("‹w›", rng.choice(WORDS)), rng.choice(("body", "content", "stdout")))
