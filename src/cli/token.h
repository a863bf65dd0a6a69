/*
 * `stele token`: keys and tokens of signed sessions, by hand. Secrets come from files or standard
 * input, because every user of a machine sees its command lines.
 */
#ifndef CLI_TOKEN_H
#define CLI_TOKEN_H

#include "auth/auth.h"
#include "cli/command.h"

extern const struct command token_keygen_command;
extern const struct command token_sign_command;
extern const struct command token_verify_command;
extern const struct command token_jwks_command;
extern const struct command token_revoke_command;

enum { TOKEN_FILE_BYTES = AUTH_MAX_JWKS_BYTES };

/* The same without the white space around it: `text` points into `out`. */
bool token_read_text(const char *path, struct buffer *out, struct span *text, struct error *error);
/* A private key; its text is wiped. */
struct auth_signer *token_read_signer(const char *path, struct error *error);
/* Add the keys of a file: a public key, the public half of a private one, or a JWKS. */
bool token_add_key_file(struct auth_keys *keys, const char *path, struct error *error);

/* Print "stele token NAME: …" and the remedy; returns EXIT_MISUSED. */
int token_misused(const struct command *command, const char *what);

#endif
