/* Addresses of clients, also of clients behind proxies, and names of hosts. Pure. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include "base/base.h"

enum { ADDRESS_TEXT = 46 /* the length of the longest as text, with its NUL */ };

/* Numeric; IPv4 as IPv6 maps it (::ffff:a.b.c.d), so each address has one form. */
struct address {
    unsigned char bytes[16];
};

/* Read an address: "192.0.2.7" or "2001:db8::7", also with a port ("192.0.2.7:80",
 * "[2001:db8::7]:80"), or "[2001:db8::7]". */
bool address_parse(struct address *address, struct span text);
/* Print an address; IPv4 in its own form. */
void address_print(const struct address *address, char text[ADDRESS_TEXT]);
/* The key of limits by address: the IPv4 address itself, or the /64 of an IPv6 address, because
 * one site has a /64. Borrowed. */
struct span address_site(const struct address *address);

/* ---- names of hosts ---- */

/* Whether a name is in a list, compared in any case. Commas or spaces separate the list. NULL:
 * an empty list. */
bool host_names_have(const char *names, struct span name);
/* Whether a text is a list of names without ports. */
bool host_names_check(const char *names, struct error *error);

/* ---- networks ---- */

struct network {
    struct address base;
    unsigned bits; /* of the 128 bits */
};

struct networks {
    struct network *list; /* heap */
    size_t count;
};

/* Read addresses and networks ("10.0.0.0/8, ::1"), separated by commas or spaces. NULL or "":
 * none. ERROR_CONFIGURATION names the wrong one. */
bool networks_parse(struct networks *networks, const char *text, struct error *error);
void networks_fini(struct networks *networks);
bool networks_have(const struct networks *networks, const struct address *address);

/* ---- proxies ---- */

enum forwarded_form {
    FORWARDED_LIST,    /* addresses separated by commas, as in X-Forwarded-For */
    FORWARDED_ELEMENTS /* as in Forwarded (RFC 7239): for=…;by=…, … */
};

/*
 * The client behind proxies. The peer is the client unless it is a trusted proxy. Each proxy
 * appends the address that it was asked by, so the list is read from its end: the first address
 * that is no trusted proxy is the client. Anybody may have written the addresses before it. If the
 * list ends, or an element is no address, the client is the last known proxy.
 */
struct address forwarded_client(const struct networks *trusted, const struct address *peer,
                                enum forwarded_form form, struct span list);

#endif
