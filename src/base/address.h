/*
 * Addresses of clients, and who is believed about them when proxies stand in front. Pure.
 */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include "base/base.h"

enum { ADDRESS_TEXT = 46 /* of the longest as text, with its NUL */ };

/* Numeric; IPv4 as IPv6 maps it (::ffff:a.b.c.d), so each address has one form. */
struct address {
    unsigned char bytes[16];
};

/* Read one: "192.0.2.7", "2001:db8::7", either with a port behind it ("192.0.2.7:80",
 * "[2001:db8::7]:80"), or "[2001:db8::7]". */
bool address_parse(struct address *address, struct span text);
/* IPv4 in its own form. */
void address_print(const struct address *address, char text[ADDRESS_TEXT]);
/* What limits by address go by: the IPv4 address itself, of an IPv6 address its /64, which is what
 * one site has. Borrowed. */
struct span address_site(const struct address *address);

/* ---- names of hosts ---- */

/* A Host, or the part of an origin behind its "://": without its port, and without a dot at its
 * end. Borrowed. */
struct span host_name(struct span host);
/* Whether a name, or a numeric address, is this machine's own: localhost, what ends with
 * ".localhost", a loopback address. */
bool host_is_loopback(struct span name);
/* Whether a name stands in a list, in any case; between them commas or spaces. NULL: in none. */
bool host_names_have(const char *names, struct span name);
/* Whether such a text is a list of names without ports. */
bool host_names_check(const char *names, struct error *error);

/* ---- networks ---- */

struct network {
    struct address base;
    unsigned bits; /* of the 128 */
};

struct networks {
    struct network *list; /* heap */
    size_t count;
};

/* Read addresses and networks ("10.0.0.0/8, ::1"), between them commas or spaces. NULL or "": none.
 * ERROR_CONFIGURATION names the wrong one. */
bool networks_parse(struct networks *networks, const char *text, struct error *error);
void networks_fini(struct networks *networks);
bool networks_have(const struct networks *networks, const struct address *address);
/* Whether such a text would be read. */
bool networks_check(const char *text, struct error *error);

/* ---- proxies ---- */

enum forwarded_form {
    FORWARDED_LIST,    /* addresses with commas between them, as in X-Forwarded-For */
    FORWARDED_ELEMENTS /* as in Forwarded (RFC 7239): for=…;by=…, … */
};

/*
 * The client behind proxies. The peer is the client unless it is a trusted proxy. Each proxy
 * appends whom it was asked by, so the list is read from its end: the first that is no trusted
 * proxy is the client, and what stands before it, anybody may have written. Where the list ends, or
 * what stands there is no address, it is the last proxy that is known.
 */
struct address forwarded_client(const struct networks *trusted, const struct address *peer,
                                enum forwarded_form form, struct span list);

#endif
