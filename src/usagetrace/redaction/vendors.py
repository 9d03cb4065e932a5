"""Tokens that vendors issue with known first characters, as data.

The shapes come from the vendors' own documentation of their token formats. Lengths are lower bounds a little
below today's: formats grow. Examples are put together when they are asked for, so that no line of this file
looks like a secret to a scanner. A few have their sign in their middle or at their end: these are rules. A name
shares no four letters with its prefixes: the marker, which holds the
name, must echo nothing of a value. This module knows nothing of how texts are searched.
"""

from __future__ import annotations

from usagetrace.patterns import lazy
from usagetrace.redaction.rules import Rule, Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# No letter or digit stands before a token; the letter of a line's end that is written out is none.
_EDGE: Final = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
# Characters of no meaning that examples are filled with.
_ALNUM: Final = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 4
_HEX: Final = "3fa9c2e7b1d04568" * 8
_UPPER: Final = "Q7RT2VX4ZB6DF8HJ3LN5" * 4
_LOWER: Final = "a7b3c9d1e5f2g8h4i6j0" * 4


def _token(name: str, why: str, prefixes: str, tail: str, example: str, *, spares: tuple[str, ...] = ()) -> Token:
    """Return a token rule whose prefixes are written as words of one text."""
    return Token(name, why, tuple(prefixes.split()), tail, example, spares)


_WORD: Final = "[A-Za-z0-9]"
_WIDE: Final = "[A-Za-z0-9_-]"

TOKENS: Final[tuple[Token, ...]] = (
    # --- cloud ---------------------------------------------------------------------------------------------
    _token("aws-key", "AWS access key id", "AKIA ASIA AROA AIDA ABIA ACCA", r"[A-Z0-9]{16}(?![A-Za-z0-9])",
           _UPPER[:16], spares=("AKIA short", "ASIAN_MARKETS_2024_REPORT")),
    _token("google-key", "Google API key", "AIza", _WIDE + "{30,64}", _ALNUM[:35]),
    _token("google-token", "Google OAuth token or secret", "ya29. GOCSPX- 1//0", r"[A-Za-z0-9_.-]{20,4096}",
           _ALNUM[:40]),
    _token("digitalocean-token", "DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", "[a-f0-9]{32,128}", _HEX[:64]),
    _token("databricks-token", "Databricks token", "dapi", r"[a-f0-9]{32}(?:-\d)?(?![A-Za-z0-9])", _HEX[:32]),
    _token("alibaba-key", "Alibaba Cloud access key", "LTAI", "[A-Za-z0-9]{12,30}(?![A-Za-z0-9])", _ALNUM[:20]),
    _token("tencent-key", "Tencent Cloud secret id", "AKID", "[A-Za-z0-9]{13,40}", _ALNUM[:32]),
    _token("hashicorp-token", "HashiCorp Vault token", "hvs. hvb. hvr.", _WIDE + "{20,512}", _ALNUM[:90]),
    _token("adobe-secret", "Adobe client secret", "p8e-", _WIDE + "{28,48}", _ALNUM[:32]),
    _token("heroku-key", "Heroku API key", "HRKU-", _WIDE + "{20,128}", _ALNUM[:36]),
    _token("fly-token", "Fly.io token", "fo1_ fm1_ fm2_", r"[A-Za-z0-9_+/=,-]{20,4096}", _ALNUM[:43]),
    _token("netlify-token", "Netlify token", "nfp_ nfc_ nfo_ nfu_", _WORD + "{30,128}", _ALNUM[:40]),
    _token("vercel-token", "Vercel token", "vcp_ vci_ vca_ vcr_ vck_", _WORD + "{20,128}", _ALNUM[:40]),
    _token("database-token", "PlanetScale token", "pscale_tkn_ pscale_pw_ pscale_oauth_", r"[A-Za-z0-9_=.-]{30,128}",
           _ALNUM[:43]),
    _token("supabase-token", "Supabase token", "sbp_ sb_secret_", _WIDE + "{20,128}", _HEX[:40]),
    _token("tailscale-key", "Tailscale key", "tskey-", _WIDE + "{16,128}", "auth-" + _ALNUM[:30]),
    _token("doppler-token", "Doppler token", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.",
           r"[A-Za-z0-9_.-]{30,128}", _ALNUM[:43]),
    _token("pulumi-token", "Pulumi token", "pul-", "[a-f0-9]{40}", _HEX[:40]),
    _token("age-key", "age secret key", "AGE-SECRET-KEY-1", "[A-Z0-9]{50,64}", _UPPER[:58]),
    _token("onepassword-token", "1Password service account", "ops_eyJ", r"[A-Za-z0-9_+/=-]{40,4096}", _ALNUM),
    # --- source hosting and builds -------------------------------------------------------------------------
    _token("gh-token", "GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9_]{20,1024}", _ALNUM[:36],
           spares=("ghp_ is the prefix", "ghs_short")),
    _token("gh-token", "GitHub fine-grained token", "github_pat_", r"[A-Za-z0-9_]{22,255}", _ALNUM[:82]),
    _token("gitlab-token", "GitLab token",
           "glpat- glptt- gldt- glrt- glrtr- glcbt- glsoat- glft- glimt- glagent- gloas- glffct-",
           r"[A-Za-z0-9_.-]{18,300}", _ALNUM[:20]),
    _token("atlassian-token", "Atlassian or Bitbucket token", "ATATT3 ATCTT3 ATBB", r"[A-Za-z0-9_=-]{20,512}",
           _ALNUM[:60]),
    _token("buildkite-token", "Buildkite token", "bkua_ bkaj_", "[a-z0-9]{30,64}", _HEX[:40]),
    _token("circleci-token", "CircleCI token", "CCIPAT_ CCIPRJ_", "[A-Za-z0-9_]{30,128}", _ALNUM[:60]),
    _token("sourcegraph-token", "Sourcegraph token", "sgp_", r"[a-f0-9_]{40,100}", _HEX[:40]),
    # --- package registries --------------------------------------------------------------------------------
    _token("npm-token", "npm token", "npm_", _WORD + "{30,128}", _ALNUM[:36],
           spares=("npm_config_registry", "npm_package_version")),
    _token("package-token", "PyPI token", "pypi-Ag pypi-AgE", _WIDE + "{30,1024}", _ALNUM[:90],
           spares=("pypi-publish-action",)),
    _token("gem-key", "RubyGems key", "rubygems_", "[a-f0-9]{40,64}", _HEX[:48]),
    _token("crates-token", "Cargo token", "cio", "[A-Za-z0-9]{32}(?![A-Za-z0-9])", _ALNUM[:32]),
    _token("docker-token", "Docker Hub token", "dckr_pat_ dckr_oat_", _WIDE + "{20,128}", _ALNUM[:27]),
    _token("jar-token", "Clojars token", "CLOJARS_", "[a-z0-9]{50,64}", _LOWER[:60]),
    _token("artifactory-key", "Artifactory key", "AKCp", "[A-Za-z0-9]{60,128}", _ALNUM[:69]),
    # --- chat ----------------------------------------------------------------------------------------------
    _token("slack-token", "Slack token", "xoxb- xoxa- xoxp- xoxe- xoxr- xoxs- xoxc- xoxd- xoxo- xapp-",
           r"[A-Za-z0-9%_.-]{10,512}", "2345678901-" + _ALNUM[:24]),
    _token("linear-key", "Linear key", "lin_api_ lin_oauth_", _WORD + "{30,128}", _ALNUM[:40]),
    _token("notion-token", "Notion token", "secret_ ntn_", "[A-Za-z0-9]{40,64}(?![A-Za-z0-9_])", _ALNUM[:46]),
    _token("figma-token", "Figma token", "figd_ figo_", _WIDE + "{30,128}", _ALNUM[:40]),
    # --- payment -------------------------------------------------------------------------------------------
    _token("stripe-key", "Stripe key", "sk_live_ sk_test_ rk_live_ rk_test_ pk_live_ pk_test_ sk_prod_ rk_prod_",
           _WORD + "{10,256}", _ALNUM[:24], spares=("sk_live_ prefix", "pk_test_suite")),
    _token("webhook-secret", "webhook signing secret", "whsec_",
           r"[A-Za-z0-9+=_-]{16,128}(?:/[A-Za-z0-9+/=_-]*[0-9+=][A-Za-z0-9+/=_-]*)?", _ALNUM[:32]),
    _token("square-token", "Square token", "sq0atp- sq0csp- sq0idp-", _WIDE + "{20,64}", _ALNUM[:22]),
    _token("shopify-token", "Shopify token", "shpat_ shpca_ shppa_ shpss_ shptka_", "[a-fA-F0-9]{32}", _HEX[:32]),
    _token("razorpay-key", "Razorpay key", "rzp_live_ rzp_test_", _WORD + "{14,32}", _ALNUM[:14]),
    _token("payment-key", "Braintree token", "access_token$production$ access_token$sandbox$",
           r"[a-z0-9]{10,32}\$[a-f0-9]{20,64}", _LOWER[:16] + "$" + _HEX[:32]),
    _token("flutterwave-key", "Flutterwave key", "FLWSECK_TEST- FLWSECK-", r"[A-Za-z0-9-]{12,64}", _HEX[:32]),
    _token("easypost-key", "EasyPost key", "EZAK EZTK", "[A-Za-z0-9]{54}", _ALNUM[:54]),
    _token("service-key", "live or test key of a smaller service",
           "duffel_live_ duffel_test_ shippo_live_ shippo_test_ paystack_live_", r"[A-Za-z0-9_=-]{20,64}", _HEX[:40]),
    # --- mail ----------------------------------------------------------------------------------------------
    _token("sendgrid-key", "SendGrid key", "SG.", r"[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}",
           _ALNUM[:22] + "." + _ALNUM[:43], spares=("SG.Singapore.Office",)),
    _token("mailgun-key", "Mailgun key", "key- pubkey-", "[0-9a-f]{32}(?![A-Za-z0-9])", _HEX[:32],
           spares=("key-value-store-benchmark",)),
    _token("brevo-key", "Brevo key", "xkeysib- xsmtpsib-", r"[a-f0-9]{40,64}-[A-Za-z0-9]{8,32}",
           _HEX[:64] + "-" + _ALNUM[:16]),
    _token("resend-key", "Resend key", "re_", r"(?=[A-Za-z_]{0,20}\d)[A-Za-z0-9]{8}_[A-Za-z0-9]{20,40}",
           _ALNUM[:8] + "_" + _ALNUM[:24], spares=("re_compile_all_patterns_here",)),
    _token("twilio-key", "Twilio key or account", "SK AC", "[0-9a-f]{32}(?![A-Za-z0-9])", _HEX[:32]),
    # --- AI providers --------------------------------------------------------------------------------------
    _token("ai-key", "key of an AI provider",
           "sk-ant- sk-proj- sk-or- sk-svcacct- sk-admin- sk-lf- pk-lf- sk-None- sk-api",
           r"(?=[A-Za-z_-]{0,40}\d)[A-Za-z0-9_-]{16,1024}", "03-" + _ALNUM[:80],
           spares=("sk-ant-colony-optimisation",)),
    _token("ai-key", "key of an AI provider, plain form", "sk-", r"(?=[a-z-]{0,40}[A-Z0-9])[A-Za-z0-9]{20,256}",
           _ALNUM[:48], spares=("sk-learn-contrib-estimators", "sk-toolkit")),
    _token("huggingface-token", "Hugging Face token", "hf_ api_org_", "[A-Za-z0-9]{30,64}", _ALNUM[:34],
           spares=("hf_hub_download",)),
    _token("ai-key", "key of an AI provider, own prefix", "gsk_ xai- pplx- nvapi- tgp_v1_ csk- pcsk_ tvly- jina_ voy-",
           _WIDE + "{30,256}", _ALNUM[:52]),
    _token("sandbox-key", "E2B key", "e2b_ sk_e2b_", "[a-f0-9]{40,64}", _HEX[:40]),
    _token("replicate-token", "Replicate token", "r8_", _WORD + "{32,64}", _ALNUM[:37]),
    _token("langsmith-key", "LangSmith key", "lsv2_pt_ lsv2_sk_", r"[a-f0-9]{32}_[a-f0-9]{8,16}",
           _HEX[:32] + "_" + _HEX[:10]),
    # --- monitoring and the rest ---------------------------------------------------------------------------
    _token("grafana-token", "Grafana token", "glsa_ glc_", r"[A-Za-z0-9_+/=]{30,512}", _ALNUM[:41]),
    _token("newrelic-key", "New Relic key", "NRAK- NRII- NRJS- NRIQ-", r"[A-Za-z0-9_-]{19,64}", _UPPER[:27]),
    _token("error-tracker-key", "Sentry organisation token", "sntrys_", r"[A-Za-z0-9_=+/-]{40,512}", _ALNUM),
    _token("error-tracker-key", "Sentry user token", "sntryu_", "[a-f0-9]{40,128}", _HEX[:64]),
    _token("logfire-token", "Logfire token", "pylf_v1_us_ pylf_v1_eu_ pylf_v2_us_ pylf_v2_eu_", _WORD + "{30,128}",
           _ALNUM[:43]),
    _token("honeycomb-key", "Honeycomb ingest, management or configuration key",
           "hcaik_ hcbik_ hcxik_ hcalk_ hcblk_ hcxlk_ hcamk_ hcbmk_ hcxmk_ hcack_ hcbck_ hcxck_", "[a-z0-9]{40,80}",
           "01" + _LOWER[:56]),
    _token("yandex-key", "Yandex Cloud key", "AQVN", "[A-Za-z0-9_-]{34,40}", _ALNUM[:36]),
    _token("octopus-key", "Octopus Deploy key", "API-", "(?=[A-Z]{0,20}[0-9])[A-Z0-9]{25,32}(?![A-Za-z0-9])",
           _UPPER[:26]),
    _token("intercom-token", "Intercom token", "ico-", "(?=[A-Za-z]{0,30}[0-9])[A-Za-z0-9]{32}(?![A-Za-z0-9])",
           _ALNUM[:32]),
    _token("dynatrace-token", "Dynatrace token", "dt0c01. dt0s01. dt0s02. dt0s16.", r"[A-Z0-9]{20,30}\.[A-Z0-9]{60,70}",
           _UPPER[:24] + "." + _UPPER[:64]),
    _token("postman-key", "Postman key", "PMAK-", r"[a-f0-9]{24}-[a-f0-9]{34}", _HEX[:24] + "-" + _HEX[:34]),
    _token("airtable-token", "Airtable token", "pat", r"[A-Za-z0-9]{14}\.[a-f0-9]{64}", _ALNUM[:14] + "." + _HEX[:64]),
    _token("hubspot-token", "HubSpot token", "pat-na1- pat-eu1- pat-na2-", r"[a-f0-9-]{30,40}", _HEX[:36]),
    _token("mapbox-token", "Mapbox token", "sk.eyJ pk.eyJ", r"[A-Za-z0-9_-]{10,1024}(?:\.[A-Za-z0-9_-]{10,64})?",
           _ALNUM[:60] + "." + _ALNUM[:22]),
    _token("service-token", "token of a smaller service",
           "CFPAT- fio-u- tfp_ rdme_ pnu_ pnb_ prefect_ shpua_ phx_ phc_ sdk- mob- dnkey- ubs_",
           r"(?=[A-Za-z_=-]{0,48}\d)(?=[a-z_=-]{0,48}[A-Z0-9])[A-Za-z0-9_=-]{32,256}", "3" + _ALNUM[:59],
           spares=("sdk-for-python-and-typescript-developers",)),
    _token("social-token", "Facebook token", "EAACEdEose0cBA EAAM EAAC", "[A-Za-z0-9]{60,512}", _ALNUM[:90]),
    _token("social-token", "bearer token of X", "A" * 20,
           r"A{0,2}(?=[A-Za-z]{0,60}\d)[A-Za-z0-9%]{80,120}(?![A-Za-z0-9+=%])",
           "aB3" + _ALNUM[:90]),
    _token("onepassword-key", "secret key of a 1Password account", "A3-",
           r"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){2,3}(?![A-Za-z0-9])",
           "Q7RT2V-X4ZB6D-F8HJ3-LN5Q7-RT2VX-4ZB6D", spares=("A3-SERIES-LAPTOP",)),
    _token("artifactory-key", "Artifactory reference token", "cmVmd", "[A-Za-z0-9]{59}(?![A-Za-z0-9])", _ALNUM[:59]),
    _token("access-key", "Authress access key", "sc_ ext_ scauth_ authress_",
           r"[A-Za-z0-9]{3,30}\.[A-Za-z0-9]{4,6}\.acc[_-][A-Za-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{30,120}",
           "abc12.q8s7.acc-" + _LOWER[:20] + "." + _ALNUM[:40], spares=("sc_config.value",)),
    _token("database-token", "ClickHouse Cloud key", "4b1d", "[A-Za-z0-9]{38}(?![A-Za-z0-9])", _ALNUM[:38]),
    _token("runner-token", "GitLab registration token", "GR1348941", _WIDE + "{20,50}", _ALNUM[:20]),
    _token("cookie", "session of GitLab", "_gitlab_session=", "[0-9a-z]{32}(?![0-9a-z])", _HEX[:32]),
    _token("dashboard-key", "Grafana key of the old form", "eyJrIjoi", "[A-Za-z0-9]{50,400}={0,3}", _ALNUM[:80]),
    _token("harness-token", "Harness token", "pat. sat.",
           r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}(?![A-Za-z0-9])",
           _ALNUM[:22] + "." + _HEX[:24] + "." + _ALNUM[:20]),
    _token("school-token", "key of the network 42", "s-s4t2ud- s-s4t2af-", "[0-9a-f]{64}", _HEX[:64]),
    _token("mapbox-token", "Mapbox token of the old form", "pk.", r"[A-Za-z0-9]{60}\.[A-Za-z0-9]{22}(?![A-Za-z0-9])",
           _ALNUM[:60] + "." + _ALNUM[:22]),
    _token("cluster-token", "OpenShift token", "sha256~", _WIDE + "{43}(?![A-Za-z0-9_-])", _ALNUM[:43]),
    _token("service-key", "key of a smaller service, by its length", "tk-us- tk-eu-",
           _WIDE + "{48}(?![A-Za-z0-9_-])", _ALNUM[:48]),
    _token("service-token", "SettleMint token", "sm_aat_ sm_pat_ sm_sat_",
           "[A-Za-z0-9]{16}(?![A-Za-z0-9])", _ALNUM[:16]),
    _token("ai-key", "ElevenLabs key, or one of Freemius", "sk_",
           r"(?:[a-f0-9]{48}(?![A-Za-z0-9])|(?=[A-Za-z]{0,28}\d)(?=[A-Z0-9]{0,28}[a-z])(?=[a-z0-9]{0,28}[A-Z])[A-Za-z0-9]{29}(?![A-Za-z0-9_]))",
           _HEX[:48], spares=("sk_learn_pipeline",)),
    _token("cloud-token", "Yandex Cloud token", "t1.", r"[A-Za-z0-9_-]{20,256}={0,2}\.[A-Za-z0-9_-]{86}={0,2}",
           _ALNUM[:60] + "." + _ALNUM[:86], spares=("t1.micro",)),
    _token("cloud-key", "Yandex Cloud key for storage", "YC",
           r"(?=[A-Za-z_-]{0,37}\d)[A-Za-z0-9_-]{38}(?![A-Za-z0-9_-])", _ALNUM[:38]),
    _token("jwt", "JSON Web Token, in base64 once more", "ZXlK", r"[A-Za-z0-9+/]{60,8192}={0,2}", _ALNUM[:100]),
    _token("aws-key", "AWS access key id of the old form", "A3T", r"[A-Z0-9][A-Z2-7]{16}(?![A-Za-z0-9])",
           "XQ7RT2VX4ZB6DFHJ3"),
    _token("incident-token", "Rootly token", "rootly_", "[a-f0-9]{64}", _HEX[:64]),
    _token("training-key", "Weights & Biases key", "wandb_v1_", "[A-Za-z0-9_]{60,128}", _ALNUM[:77]),
    _token("sonarqube-token", "SonarQube token", "sqp_ squ_ sqa_", "[a-f0-9]{40}", _HEX[:40]),
    _token("aws-key", "Amazon Bedrock key", "ABSK", "[A-Za-z0-9+/=]{60,256}", _ALNUM[:100]),
    _token("aws-token", "AWS session token", "IQoJb3JpZ2lu FwoGZXIvYXdz", "[A-Za-z0-9+/=]{40,4096}", _ALNUM[:100]),
    _token("adafruit-key", "Adafruit key", "aio_", "[A-Za-z0-9]{26,32}(?![A-Za-z0-9])", _ALNUM[:28]),
    _token("square-token", "Square access token", "EAAA", "[A-Za-z0-9_-]{56,64}(?![A-Za-z0-9])", _ALNUM[:60]),
    _token("clickup-token", "ClickUp token", "pk_", r"\d{6,12}_[A-Z0-9]{32}", "12345678_" + _UPPER[:32]),
    _token("nuget-key", "NuGet key", "oy2", "[a-z0-9]{43}(?![A-Za-z0-9])", _LOWER[:43]),
    _token("render-key", "Render or Fireworks key", "rnd_ fw_", "[A-Za-z0-9]{22,48}(?![A-Za-z0-9_])", _ALNUM[:32]),
    _token("dropbox-token", "Dropbox token", "sl.", r"(?:u\.)?[A-Za-z0-9_-]{60,2048}", _ALNUM[:100]),
    _token("cloudflare-key", "Cloudflare origin key", "v1.0-", "[a-f0-9]{24}-[a-f0-9]{100,160}",
           _HEX[:24] + "-" + _HEX[:120]),
    _token("plaid-token", "Plaid token", "access-sandbox- access-development- access-production-",
           "[0-9a-f-]{36}", "3fa9c2e7-b1d0-4568-9fa9-c2e7b1d04568"),
    _token("mercadopago-token", "Mercado Pago token", "APP_USR- TEST-", "[0-9]{10,20}-[A-Za-z0-9_-]{20,80}",
           "1234567890123456-" + _HEX[:32]),
    _token("amazon-token", "Amazon seller or login token", "amzn.mws. amzn1.oa2-cs.v1.", "[0-9a-f-]{36,64}", _HEX[:40]),
    _token("wallet-key", "extended private key of a wallet", "xprv yprv zprv tprv", "[1-9A-HJ-NP-Za-km-z]{100,112}",
           _ALNUM[:20].replace("0", "1") + _ALNUM[:87]),
    _token("service-token", "token of one more service",
           "vercel_blob_rw_ elks_ lip_ bb_live_ dp.rt. ops_ zpka_ fal_ sk_car_ ubtt_ ghv_ nfapi_ ctx7sk-",
           r"(?=[A-Za-z_-]{0,30}\d)[A-Za-z0-9_.=-]{24,256}", "3" + _ALNUM[:40]),
    _token("service-key", "token with the scheme that RFC 8959 gives it", "secret-token:",
           r"(?=[A-Za-z_-]{0,30}\d)[A-Za-z0-9_.=-]{24,256}", "3" + _ALNUM[:40]),
    # --- formats of many vendors ---------------------------------------------------------------------------
    _token("jwt", "JSON Web Token, signed, encrypted or cut", "eyJ",
           r"(?<![A-Za-z0-9_-]eyJ)[A-Za-z0-9_-]{8,8192}(?:\.[A-Za-z0-9_-]*){1,4}",
           _ALNUM[:30] + ".eyJ" + _ALNUM[:40] + "." + _ALNUM[:43], spares=("eyJhbGciOiJIUzI1NiJ9",)),
    _token("ssh-key", "SSH public key with its owner", "ssh-rsa ssh-dss ssh-ed25519 sk-ssh-ed25519@openssh.com",
           r" +AAAA[A-Za-z0-9+/]{16,8192}={0,2}", " AAAA" + _ALNUM[:80], spares=("ssh-rsa algorithm is old",)),
    _token("ssh-key", "SSH public key on a curve", "ecdsa-sha2-nistp", r"\d{3} +AAAA[A-Za-z0-9+/]{16,8192}={0,2}",
           "256 AAAA" + _ALNUM[:80]),
)  # fmt: skip
# Known by a sign in their middle or at their end.
SIGNED: Final[tuple[Rule, ...]] = (
    Rule(
        name="social-token",
        why="a Facebook app's token",
        pattern=lazy(_EDGE + r"\d{15,16}(?:\||%7[Cc])[A-Za-z0-9_-]{27,40}(?![A-Za-z0-9_-])"),
        needs=("|", "%7c"),
        matches=("1234567890123456|" + _ALNUM[:27],),
        spares=("1234567890123456|short",),
    ),
    Rule(
        name="test-token",
        why="a key of Lob or GoCardless, for tests or not",
        pattern=lazy(
            _EDGE + r"(?:(?:live|test)_(?:pub_)?[0-9a-f]{31}(?:[0-9a-f]{4})?"
            r"|live_(?=[A-Za-z_=-]{0,24}\d)(?=[a-z0-9_=-]{0,32}[A-Z])"
            r"[A-Za-z0-9_=-]{40})(?![A-Za-z0-9_-])"
        ),
        needs=("live_", "test_"),
        matches=("test_" + _HEX[:35], "test_pub_" + _HEX[:31], "live_" + _ALNUM[:40]),
        spares=("test_decode_of_a_name", "live_update_of_the_dashboards_of_all_TEAMS"),
    ),
    Rule(
        name="mail-token",
        why="Mailgun's key for signatures of webhooks",
        pattern=lazy(_EDGE + r"(?<!-)[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}(?![A-Za-z0-9-])"),
        needs=("-",),
        matches=(_HEX[:32] + "-1a2b3c4d-5e6f7a8b",),
        spares=(_HEX[:32] + "-1a2b3c4d",),
    ),
    Rule(
        name="marked-token",
        why="a key with its vendor's sign at its end: MaxMind, New Relic, Azure DevOps",
        pattern=lazy(
            _EDGE + r"(?:[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk|(?:eu01xx)?[0-9a-f]{30,36}NRAL"
            r"|[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4})"
            r"(?![A-Za-z0-9])"
        ),
        needs=("_mmk", "nral", "azdo"),
        matches=("aB3dE6_" + _ALNUM[:29] + "_mmk", _HEX[:36] + "NRAL", _ALNUM[:75] + "A" + "AZDO1x2Y"),
        spares=("x_mmk", "AZDO"),
    ),
    Rule(
        name="vault-token",
        why="a token of HashiCorp's Vault of the old form",
        pattern=lazy(
            _EDGE + r"(?<![_.-])(?<![A-Za-z]')s\.(?=[A-Za-z]{0,23}\d)(?=[a-z0-9]{0,23}[A-Z])(?=[A-Z0-9]{0,23}[a-z])"
            r"(?P<s>[A-Za-z0-9]{24})(?![\w.(\[-])"
        ),
        needs=("s.",),
        spare=lambda match: sum(map(str.isdigit, match["s"])) < 3 or match["s"].rstrip("0123456789").isalpha(),
        matches=("VAULT s.7Zq8vT3" + "mK9xLp2wQ4rN6bYd1",),
        spares=("s.getAllElementsByName12345", "s.replace"),
    ),
    Rule(
        name="identity-token",
        why="an Okta token, behind the vendor's name",
        pattern=lazy(r"(?i:okta)[^\n]{0,64}?(?<![A-Za-z0-9_-])(?P<s>00[A-Za-z0-9_-]{40})(?![A-Za-z0-9_-])"),
        needs=("okta",),
        matches=("okta: 00" + _ALNUM[:40],),
        spares=("okta 00u1",),
    ),
)  # fmt: skip
