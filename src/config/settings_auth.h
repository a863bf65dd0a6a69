/* The members of "auth", as settings.h has the others; their names are "auth.mode" and so on. */
WORD(mode, config_auth_mode, CONFIG_AUTH_NONE, LIVE,
     "none: everybody may connect; static: who has one of tokens; signed: who has a token that one "
     "of the keys has signed, or one of tokens")
TEXT(jwks_file, NULL, LIVE, "a file with public keys as a JWKS")
TEXT(jwks_url, NULL, LIVE_WITH_OUTGOING, "an http or https URL that gives public keys as a JWKS",
     .restart = "outgoing requests are possible only if some were at the start")
NUMBER(jwks_seconds, 3600, 1, DAY, LIVE, "how long what jwks_url gave is not asked again")
NUMBER(jwks_refetch_seconds, 60, 1, DAY, LIVE,
       "at most once in so many seconds it is asked earlier: for a token of an unknown key, or "
       "because it failed")
NUMBER(jwks_stale_seconds, DAY, 1, 30 * DAY, LIVE,
       "how long the keys that jwks_url gave hold while it fails")
TEXT(issuer, NULL, LIVE, "the iss that signed tokens must have")
TEXT(audience, NULL, LIVE, "what must be in the aud of signed tokens")
FLAG(require_origin, false, LIVE,
     "whether a signed token must be bound to an origin, which the request must name")
FLAG(require_client_ip, false, LIVE,
     "whether a signed token must be bound to the address of the client")
WORD(status, config_audience, CONFIG_FOR_ADMIN, LIVE,
     "who is shown all of /status: the scope admin, or all")
WORD(metrics, config_audience, CONFIG_FOR_ADMIN, LIVE,
     "who is shown /metrics: the scope admin, or all")
