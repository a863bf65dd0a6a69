#include "auth/auth_internal.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The six bits of a digit, or -1. */
static int digit(char c, bool strict)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-' || (c == '+' && !strict))
        return 62;
    if (c == '_' || (c == '/' && !strict))
        return 63;
    return -1;
}

static struct span without_padding(struct span text)
{
    for (int i = 0; i < 2 && text.length % 4 != 1 && text.length > 0; i++)
        if (text.data[text.length - 1] == '=')
            text.length--;
    return text;
}

bool base64_decode(struct span text, bool strict, struct buffer *out)
{
    uint32_t bits = 0;
    int held = 0;
    if (!strict && text.length % 4 == 0)
        text = without_padding(text);
    if (text.length % 4 == 1 || !buffer_reserve(out, text.length / 4 * 3 + text.length % 4 * 3 / 4))
        return false;
    for (size_t i = 0; i < text.length; i++) {
        int six = digit(text.data[i], strict);
        if (six < 0)
            return false;
        bits = bits << 6 | (uint32_t)six;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buffer_add_char(out, (char)(bits >> held & 0xff));
        }
    }
    /* Bits that are left over must be 0, or several texts would stand for the same bytes. */
    return (bits & ((1U << held) - 1)) == 0 && !out->failed;
}

bool base64_encode(struct span bytes, struct buffer *out)
{
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        bits = bits << 8 | (unsigned char)bytes.data[i];
        for (held += 8; held >= 6;) {
            held -= 6;
            buffer_add_char(out, alphabet[bits >> held & 63]);
        }
    }
    if (held)
        buffer_add_char(out, alphabet[bits << (6 - held) & 63]);
    return !out->failed;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(struct span text, unsigned char *out, size_t size)
{
    if (text.length != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
