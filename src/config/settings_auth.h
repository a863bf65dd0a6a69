/* The members of "auth", in the form of settings.h; their names are "auth.mode" and so on. */
WORD(mode, config_auth_mode, CONFIG_AUTH_NONE, LIVE,
     "none: everybody may connect; static: a client needs one of tokens; signed: a client needs a "
     "token that one of the keys has signed, or one of tokens")
TEXT(jwks_file, NULL, LIVE, "a file with public keys as a JWKS")
TEXT(jwks_url, NULL, LIVE_WITH_OUTGOING, "an http or https URL that gives public keys as a JWKS",
     .restart = "outgoing requests are possible only if some were at the start")
NUMBER(jwks_seconds, 3600, 1, DAY, LIVE,
       "how long the server uses the answer of jwks_url before it asks again")
NUMBER(jwks_refetch_seconds, 60, 1, DAY, LIVE,
       "the server asks jwks_url earlier at most once in so many seconds: for a token of an "
       "unknown key, or because it failed")
NUMBER(jwks_stale_seconds, DAY, 1, 30 * DAY, LIVE,
       "how long the keys of jwks_url hold while it fails")
TEXT(issuer, NULL, LIVE, "the iss that signed tokens must have")
TEXT(audience, NULL, LIVE, "the value that the aud of signed tokens must contain")
TEXT(base_scope, NULL, LIVE,
     "what every signed token may, in words of read, write and admin; left out: nothing, and it "
     "must have the scope claim")
TEXT(subject_claim, "sub", LIVE, "the claim of signed tokens that names the subject",
     .check = check_claim)
TEXT(scope_claim, "scope", LIVE, "the claim that says what it may", .check = check_claim)
TEXT(audience_claim, "aud", LIVE, "the claim that audience must be in", .check = check_claim)
TEXT(token_id_claim, "jti", LIVE, "the claim by which it can be revoked", .check = check_claim)
TEXT(views_claim, "views", LIVE, "the claim with the views that it may see", .check = check_claim)
TEXT(row_scopes_claim, "row_scopes", LIVE,
     "the claim that says which scoped rows it sees, such as sub or app_metadata.team",
     .check = check_claim)
TEXT(limits_claim, "limits", LIVE, "the claim with its limits", .check = check_claim)
TEXT(origin_claim, "origin", LIVE, "the claim that binds it to an origin", .check = check_claim)
TEXT(metering_key_claim, "metering_key", LIVE, "the claim with its metering key",
     .check = check_claim)
TEXT(plan_claim, "plan", LIVE, "the claim with its plan, for usage", .check = check_claim)
TEXT(deployment_id_claim, "deployment_id", LIVE, "the claim with its deployment, for usage",
     .check = check_claim)
FLAG(require_origin, false, LIVE,
     "whether a signed token must be bound to an origin, which the request must name")
FLAG(require_client_ip, false, LIVE,
     "whether a signed token must be bound to the address of the client")
WORD(status, config_audience, CONFIG_FOR_ADMIN, LIVE,
     "the clients that see all of /status: those with the scope admin, or all")
WORD(metrics, config_audience, CONFIG_FOR_ADMIN, LIVE,
     "the clients that see /metrics: those with the scope admin, or all")
