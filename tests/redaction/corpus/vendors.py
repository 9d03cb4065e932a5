"""Tokens as vendors make them: prefix, length, alphabet, and check digits where they have them.

Prefixes stand in two pieces, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from tests.redaction.corpus import made
from tests.redaction.corpus.kinds import Raw, planted, some
from tests.redaction.corpus.made import BASE32, BASE62, BASE64, DIGITS, HEX, LOWNUM, UPPERNUM, URL64

Make = Callable[[Random], str]


def token(prefix: str, alphabet: str, size: int, tail: str = "") -> Make:
    """Return a maker of a prefix, a number of characters and a fixed end."""
    return lambda rng: prefix + some(rng, alphabet, size) + tail


def several(*parts: str | tuple[str, int]) -> Make:
    """Return a maker of fixed pieces and runs of random characters."""
    return lambda rng: "".join(part if isinstance(part, str) else some(rng, *part) for part in parts)


CLOUD: dict[str, Make] = {
    "aws access key": token("AK" + "IA", BASE32, 16),
    "aws temporary key": token("AS" + "IA", BASE32, 16),
    "aws bedrock key": token("ABSK" + "QmVkcm9ja0FQSUtleS", BASE64, 110, "="),
    "google api key": token("AI" + "za", URL64, 35),
    "google oauth secret": token("GOC" + "SPX-", URL64, 28),
    "google access token": token("ya29" + ".a0A", URL64, 160),
    "google refresh token": token("1//" + "0", URL64, 100),
    "azure client secret": several((BASE62, 3), "8Q~", (URL64 + ".~", 33), "a"),
    "digitalocean": token("dop" + "_v1_", HEX, 64),
    "digitalocean oauth": token("doo" + "_v1_", HEX, 64),
    "heroku": lambda rng: "HRKU" + "-" + made.uuid(rng),
    "netlify": token("nf" + "p_", BASE62, 40),
    "fly": several("⟨FlyV1 ⟩⟦fm2" + "_", (BASE64, 200), "==⟧"),
    "planetscale": token("pscale" + "_tkn_", URL64, 43),
    "planetscale password": token("pscale" + "_pw_", URL64, 43),
    "supabase": token("sb" + "p_", HEX, 40),
    "databricks": token("da" + "pi", HEX, 32),
    "databricks numbered": token("da" + "pi", HEX, 32, "-2"),
    "alibaba": token("LT" + "AI5t", BASE62, 18),
    "yandex": token("AQ" + "VN", URL64, 36),
    "cloudflare origin ca": several("v1" + ".0-", (HEX, 24), "-", (HEX, 146)),
    "tailscale": several("tskey" + "-auth-k", (BASE62, 11), "CNTRL-", (BASE62, 32)),
    "vercel blob": several("vercel" + "_blob_rw_", (BASE62, 16), "_", (BASE62, 30)),
}
CODE: dict[str, Make] = {
    "github classic": lambda rng: made.checked(rng, "gh" + "p_"),
    "github oauth": lambda rng: made.checked(rng, "gh" + "o_"),
    "github user": lambda rng: made.checked(rng, "gh" + "u_"),
    "github server": lambda rng: made.checked(rng, "gh" + "s_"),
    "github refresh": token("gh" + "r_", BASE62, 76),
    "github fine-grained": several("github" + "_pat_", (BASE62, 22), "_", (BASE62, 59)),
    "gitlab": token("glp" + "at-", URL64, 20),
    "gitlab routable": several("glp" + "at-", (BASE62, 44), ".01.", (LOWNUM, 9)),
    "gitlab deploy": token("gld" + "t-", URL64, 20),
    "gitlab runner": token("glr" + "t-", URL64, 20),
    "gitlab trigger": token("glp" + "tt-", HEX, 40),
    "bitbucket": token("ATB" + "B", BASE62, 32),
    "atlassian": several("ATATT3" + "xFfGF0", (URL64, 175), "=", (UPPERNUM, 8)),
    "npm": lambda rng: made.checked(rng, "np" + "m_"),
    "pypi": token("pypi" + "-AgEIcHlwaS5vcmc", URL64, 140),
    "rubygems": token("rubygems" + "_", HEX, 48),
    "crates": token("ci" + "o", BASE62, 32),
    "nuget": token("oy" + "2", LOWNUM, 43),
    "docker": token("dckr" + "_pat_", URL64, 27),
    "jfrog": token("AKC" + "p8", BASE62, 68),
    "sonarqube": token("sq" + "p_", HEX, 40),
    "circleci": several("CCIP" + "AT_", (BASE62, 22), "_", (HEX, 40)),
    "buildkite": token("bk" + "ua_", HEX, 40),
    "pulumi": token("pu" + "l-", HEX, 40),
    "terraform cloud": several((BASE62, 14), ".atlas" + "v1.", (BASE62, 67)),
    "clojars": token("CLO" + "JARS_", HEX, 60),
    "postman": several("PM" + "AK-", (HEX, 24), "-", (HEX, 34)),
}
CHAT: dict[str, Make] = {
    "slack bot": several("xo" + "xb-", (DIGITS, 12), "-", (DIGITS, 13), "-", (BASE62, 24)),
    "slack user": several("xo" + "xp-", (DIGITS, 12), "-", (DIGITS, 12), "-", (DIGITS, 13), "-", (HEX, 32)),
    "slack app": several("xa" + "pp-1-A", (UPPERNUM, 10), "-", (DIGITS, 13), "-", (HEX, 64)),
    "slack refresh": several("xo" + "xe-1-", (BASE62, 146)),
    "discord bot": several("M", (BASE62, 25), ".G", (BASE62, 5), ".", (URL64, 38)),
    "telegram": several((DIGITS[1:], 10), ":AA", (URL64, 33)),
    "twilio key": token("S" + "K", HEX, 32),
    "sendgrid": several("S" + "G.", (URL64, 22), ".", (URL64, 43)),
    "mailgun": token("ke" + "y-", HEX, 32),
    "mailchimp": token("", HEX, 32, "-us1" + "4"),
    "brevo": several("xkey" + "sib-", (HEX, 64), "-", (BASE62, 16)),
    "resend": several("r" + "e_", (BASE62, 8), "_", (BASE62, 24)),
    "linear": token("lin" + "_api_", BASE62, 40),
    "notion": token("nt" + "n_", BASE62, 46),
    "figma": token("fig" + "d_", URL64, 40),
    "airtable": several("pa" + "t", (BASE62, 14), ".", (HEX, 64)),
    "dropbox": token("sl" + ".B", URL64, 135),
    "contentful": token("CFP" + "AT-", URL64, 43),
}
MONEY: dict[str, Make] = {
    "stripe live": token("sk" + "_live_", BASE62, 24),
    "stripe long": token("sk" + "_live_51", BASE62, 97),
    "stripe test": token("sk" + "_test_", BASE62, 24),
    "stripe restricted": token("rk" + "_live_", BASE62, 24),
    "stripe webhook": token("wh" + "sec_", BASE62, 32),
    "square token": token("EAA" + "A", URL64, 60),
    "square secret": token("sq0" + "csp-", URL64, 43),
    "braintree": several("access" + "_token$production$", (LOWNUM, 16), "$", (HEX, 32)),
    "shopify": token("shp" + "at_", HEX, 32),
    "shopify secret": token("shp" + "ss_", HEX, 32),
    "plaid": lambda rng: "access" + "-production-" + made.uuid(rng),
    "razorpay": token("rzp" + "_live_", BASE62, 14),
    "flutterwave": token("FLW" + "SECK-", HEX, 32, "-X"),
    "easypost": token("EZ" + "AK", BASE62, 54),
    "shippo": token("shippo" + "_live_", HEX, 40),
}
AI: dict[str, Make] = {
    "openai project": several("sk" + "-proj-", (URL64, 74), "T3Blbk" + "FJ", (URL64, 74)),
    "openai classic": several("sk" + "-", (BASE62, 20), "T3Blbk" + "FJ", (BASE62, 20)),
    "openai service": several("sk" + "-svcacct-", (URL64, 58), "T3Blbk" + "FJ", (URL64, 58)),
    "anthropic": several("sk" + "-ant-api03-", (URL64, 93), "AA"),
    "anthropic oauth": several("sk" + "-ant-oat01-", (URL64, 93), "AA"),
    "deepseek": token("sk" + "-", HEX, 32),
    "openrouter": token("sk" + "-or-v1-", HEX, 64),
    "hugging face": token("h" + "f_", made.LETTERS, 34),
    "replicate": token("r" + "8_", BASE62, 37),
    "groq": token("gs" + "k_", BASE62, 52),
    "perplexity": token("pp" + "lx-", BASE62, 48),
    "xai": token("xa" + "i-", BASE62, 80),
    "langsmith": several("ls" + "v2_pt_", (HEX, 32), "_", (HEX, 10)),
    "nvidia": token("nv" + "api-", URL64, 64),
    "tavily": token("tv" + "ly-", BASE62, 32),
    "pinecone": several("pc" + "sk_", (BASE62, 6), "_", (BASE62, 63)),
    "langfuse": lambda rng: "sk" + "-lf-" + made.uuid(rng),
}
OPERATIONS: dict[str, Make] = {
    "vault": token("hv" + "s.", URL64, 95),
    "vault batch": token("hv" + "b.", URL64, 140),
    "doppler": token("dp" + ".pt.", BASE62, 43),
    "grafana service": several("gl" + "sa_", (BASE62, 32), "_", (HEX, 8)),
    "grafana cloud": lambda rng: "gl" + "c_" + made.standard64(rng, 75),
    "new relic": token("NR" + "AK-", UPPERNUM, 27),
    "dynatrace": several("dt0" + "c01.", (BASE32, 24), ".", (BASE32, 64)),
    "sentry user": token("snt" + "ryu_", HEX, 64),
    "sentry org": lambda rng: (
        "snt" + f"rys_eyJ{made.standard64(rng, 120)}_{some(rng, BASE64, 42)}{some(rng, BASE62, 1)}"
    ),
    "posthog": token("ph" + "x_", BASE62, 43),
    "prefect": token("pn" + "u_", LOWNUM, 36),
    "octopus": token("API" + "-", UPPERNUM, 26),
    "age": token("AGE-SECRET" + "-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "launchdarkly": lambda rng: "sdk" + "-" + made.uuid(rng),
    "infracost": token("ic" + "o-", BASE62, 32),
    "mapbox": lambda rng: "sk" + ".eyJ" + some(rng, BASE62, 80) + "." + some(rng, URL64, 22),
}
RARER: dict[str, Make] = {
    "1password": several(
        "A3" + "-", (UPPERNUM, 6), "-", (UPPERNUM, 6), "-", (UPPERNUM, 5), "-", (UPPERNUM, 5), "-", (UPPERNUM, 5)
    ),
    "jfrog reference": token("cmVm" + "d", BASE62, 59),
    "authress": several("sc" + "_abc12.q8s7.acc-", (LOWNUM, 20), ".", (BASE62, 40)),
    "clickhouse": token("4b" + "1d", BASE62, 38),
    "facebook app": several("12345678901234" + "56|", (BASE62, 27)),
    "facebook page": token("EAA" + "M", BASE62, 110),
    "gitlab registration": token("GR13" + "48941", BASE62, 20),
    "gitlab session": token("_gitlab" + "_session=", LOWNUM, 32),
    "gocardless": several("liv" + "e_Zq8", (BASE62, 37)),
    "grafana old": token("eyJr" + "Ijoi", BASE62, 90),
    "harness": several("pa" + "t.", (BASE62, 22), ".", (HEX, 24), ".", (BASE62, 20)),
    "42": token("s-s4" + "t2ud-", HEX, 64),
    "lob": token("tes" + "t_", HEX, 35),
    "mailgun signing": several((HEX, 32), "-", (HEX, 8), "-", (HEX, 8)),
    "mapbox old": several("pk" + ".", (BASE62, 60), ".", (BASE62, 22)),
    "maxmind": several((BASE62, 6), "_", (BASE62, 29), "_m" + "mk"),
    "openshift": token("sha256" + "~", URL64, 43),
    "scalingo": token("tk-" + "us-", URL64, 48),
    "settlemint": token("sm" + "_aat_", BASE62, 16),
    "vault old": several("s" + ".7Zq8v5", (BASE62, 15), "d12"),
    "yandex token": several("t1" + ".9eu", (URL64, 60), ".", (URL64, 86)),
    "yandex storage": several("Y" + "C1", (BASE62, 37)),
    "jwt twice": token("ZXl" + "K", BASE62, 120),
    "aws old": token("A3" + "TX", BASE32, 16),
    "elevenlabs": token("sk" + "_", HEX, 48),
    "azure devops": several((BASE62, 76), "AZ" + "DO", (BASE62, 4)),
    "new relic licence": token("", HEX, 36, "NR" + "AL"),
    "x bearer": several("A" * 21 + "aB3", (BASE62, 80)),
    "rootly": token("root" + "ly_", HEX, 64),
    "wandb": token("wandb" + "_v1_", BASE62, 77),
    "typeform": several("tf" + "p_a_B_C3", (BASE62, 51)),
}
VENDORS = {
    "cloud": CLOUD,
    "code": CODE,
    "chat": CHAT,
    "money": MONEY,
    "ai": AI,
    "operations": OPERATIONS,
    "rarer": RARER,
}
# Where a token stands: alone, in prose, in code, in other writing, at an end.
CARRIERS = (
    "§", "using § for now", "the runner failed with §.", 'client = Client("§")', "Client('§', timeout=30)",
    '{"note": "§", "page": 2}', "令牌§已过期", "(§)", "`§` was rotated", "build 17, §, done", "value=§;next=1",
    "stdout:\n§\nexit 0", "<code>§</code>", "[§]", "rotate\t§\tnow", "https://api.example.com/v1/§/rows",
    "tool --with § --verbose", "got: §, retrying", "“§”", "argv: ['run', '§', 'fast']", "see §!", "was it §?",
)  # fmt: skip


def tokens(rng: Random, kind: str) -> Iterator[Raw]:
    """Yield each vendor's token of a kind, alone and in another place."""
    for make in VENDORS[kind].values():
        yield Raw(planted(rng.choice(CARRIERS), make(rng)))
        yield Raw(planted(rng.choice(CARRIERS), make(rng)))
