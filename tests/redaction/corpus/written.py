"""Secrets and numbers of persons in the ways that fewer texts write them: operators, quotes, cut keys, manifests."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.redaction.corpus import made
from tests.redaction.corpus.kinds import Raw, planted
from tests.redaction.corpus.made import BASE64, HEX, LOWNUM, NAMES, WORDS, some

# Operators, types, prefixes of strings, lists.
ASSIGNED = (
    'API_TOKEN ?= "§"', 'API_TOKEN += "§"', '$apiToken .= "§"', '$apiToken ??= "§"', 'password ||= "§"',
    'password &&= "§"', "API_TOKEN ::= §", 'API_TOKEN :::= "§"', "API_TOKEN ?= §", "API_TOKEN += §",
    'password: Final = "§"', 'password: Final[str] = "§"', 'password: String? = "§"',
    'password: Annotated[str, Field()] = "§"', 'const password: string | null = "§"',
    'std::string password{"§"}', 'password = @"§"', "password = E'§'", 'password = u8"§"', 'password = L"§"',
    "password[]=§", "apikeys[] = '§'", "passwords = ('§', 'x')", "dbpwd=§", 'mysecret = "§"', 'sl_pass = "§"',
    "psk = \"§\"", "preshared_key=§", "X-JFrog-Art-Api: §", "token <str> '§'", '["password"]=>\n string(9) "§"',
    "ssh_key: §", 'password = (\n    "§"\n)', "<Password>\n    §\n</Password>", '<name="dbPassword" />\n<value="§" />',
    "kind: Secret\nstringData:\n  note: §\n", "parola: §", "lösenord: §",
    "heslo je §",
    "salasana on §", "şifre: §", "jelszó: §", "adgangskode er §", "§ is the password", '"§" is my new password',
    'keyring.set_password("svc", "bo", "§")', 'make_password("§", hasher="x")', "r.auth('§')",
    "x = SimpleCredential('bo', '§')",
    "Server=h9;Uid=⟨bo⟩;Pwd=⟨two ⟩§;Encrypt=yes",
)  # fmt: skip
# With nothing but a place that names of things stand in, too.
MIXED = ("pwd::§", "secret:\n  aws:\n    note: §\nport: 80", "credentials:\n  first: §\n  region: eu-west-1\n")
LOGINS = (
    "postgres://⟨bo:⟩§@/db", "http://⟨bo:⟩§@/x", "⟨bo:⟩§@localhost", "dsn ⟨bo:⟩§@db.example.com:5432/shop",
    "⟨bo:⟩§@tcp(h9:3306)/shop", 'curl -u "⟨:⟩§" https://example.com', 'curl -u "§⟨:⟩" https://example.com',
    "curl --user  '⟨bo:⟩§' https://example.com", "curl --user ⟨bo:'⟩§⟨'⟩ https://example.com",
    "curl --user \\\n  ⟨bo:⟩§ https://example.com", 'curl -u ⟨bo:"⟩§⟨"⟩ https://example.com',
)  # fmt: skip
# Signs that end other passwords stand inside of these.
SIGNS = ("ab<Cd>9", "Eis&Heiss4", "a;b7C;d", "x|y9Z|w", 'say "hi" 77', 'ab"Cd"Ef9', "(Ot)77[Er]5")
QUOTED = (
    "mysql -u root -p'§' db", "sshpass -p '§' ssh h1", "redis-cli -a '§' ping", "ldapsearch -w '§' -b x",
    "curl -u '⟨bo:⟩§' https://example.com", "tool --password '§' x", "tool --token='§' x",
    "ALTER ROLE a WITH PASSWORD '§';", "ConvertTo-SecureString '§' -AsPlainText", "smbclient -U '⟨bo%⟩§' //h/s",
    "Command ['x', '--password', '§', 'y'] died", "define('DB_PASSWORD', '§');", "failed: ['x', '--password=§', 'y']",
)  # fmt: skip


def forms(rng: Random) -> Iterator[Raw]:
    """Yield assignments, logins and quoted arguments in rarer writing, one secret each."""
    for form in MIXED:
        yield Raw(planted(form, "Zq8vT3" + some(rng, LOWNUM, 5) + "K9x"))
    for form in (*ASSIGNED, *LOGINS):
        yield Raw(planted(form, made.machine(rng, 14)))
    for form in QUOTED:
        yield Raw(planted(form, rng.choice(SIGNS)))
    for key in ("maps_key", "acme_key", "softlayer-key", "slapi_key"):
        yield Raw(planted(f'{key} = "§"', some(rng, HEX, 31) + "7"))
    body = "\n".join([some(rng, BASE64, 64), some(rng, BASE64, 64), some(rng, BASE64, 30)])
    for label in ("EC PRIVATE KEY", "RSA PRIVATE KEY", "PRIVATE KEY"):
        yield Raw(f"⟦{body}⟧⟨\n-----END {label}-----⟩")
        yield Raw('{"x": "⟦' + body.replace("\n", "\\n") + f"⟧⟨\\n-----END {label}-----⟩")
    value = f"⟦{made.standard64(rng, 12)}⟧"
    yield Raw(f"apiVersion: v1\ndata:\n  note: {value}\nkind: Secret\nmetadata:\n  name: x\n")
    yield Raw({"kind": "Secret", "data": {"note": value}, "type": "Opaque"}, "manifest")
    yield Raw("step 1\\n" + planted("§", "gh" + "p_" + some(rng, made.BASE62, 36)) + "\\nstep 2")


def numbers(rng: Random) -> Iterator[Raw]:
    """Yield national phone numbers, bank accounts and others that their word or their check digits give away."""
    for form in (
        "Tel. §",
        "tél: §",
        "phone §",
        "mobile: §, then",
        "Fax §",
        "call me at §",
        '{"note": "Tel. §"}',
        "电话 §",
    ):
        for shape in rng.sample(("0171 2345678", "06 12 34 56 78", "(021) 98765-0011", "07700 900321", "080-1234-9876",
                                 "13912345678", "0049 30 1234567", "020 7946 0958"), 4):  # fmt: skip
            digits = "".join(rng.choice(LOWNUM[26:]) if sign.isdigit() else sign for sign in shape[3:])
            yield Raw(planted(form, shape[:3] + digits))
    for form in ("to § now", "§", "IBAN § is", "账户§。", "x=§,"):
        country, size, bank = rng.choice(
            (("DE", 22, ""), ("GB", 22, "NWBK"), ("FR", 27, ""), ("NL", 18, "ABNA"), ("NO", 15, ""))
        )
        account = made.iban(rng, country, size, bank)
        yield Raw(planted(form, account))
        yield Raw(planted(form, " ".join(account[at : at + 4] for at in range(0, size, 4))))
    for prefix, size in (("2131", 15), ("1800", 15), ("5018", 16), ("6304", 16), ("6759", 19), ("2201", 16)):
        yield Raw(planted("paid with card § today", made.card(rng, prefix, size)))
    yield Raw(planted("US SSN §", "078-05-" + "1120"))
    one, two = made.ipv4(rng), made.ipv4(rng)
    yield Raw(f"pool ⟦{one}⟧-⟦{two}⟧ is full")
    for domain in ("163.com", "1and1.com", "70t.de", "6wind.example", "пример.рф"):
        yield Raw(planted("to § now", f"{rng.choice(NAMES)}@{domain}"))
    yield Raw(planted("to § now", f'"{rng.choice(NAMES)} {rng.choice(WORDS)}"@example.com'))
