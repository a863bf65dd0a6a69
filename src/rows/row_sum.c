#include "rows/row_sum.h"

#include "auth/auth.h"
#include "json/json.h"

bool row_sum_make(struct row_sum *sum, struct span key, struct span row, struct buffer *scratch)
{
    buffer_clear(scratch);
    return doc_jcs_row(scratch, key, row) && auth_digest(key, sum->key.bytes) &&
           auth_digest(buffer_span(scratch), sum->row.bytes);
}

void sum_add(struct sum *sum, const struct sum *other)
{
    unsigned carry = 0;
    for (int i = SUM_BYTES - 1; i >= 0; i--) {
        carry += (unsigned)sum->bytes[i] + other->bytes[i];
        sum->bytes[i] = (unsigned char)carry;
        carry >>= 8;
    }
}

bool sum_chain(struct sum *chain, const struct sum *key)
{
    char link[2 * SUM_BYTES];
    memcpy(link, chain->bytes, SUM_BYTES);
    memcpy(link + SUM_BYTES, key->bytes, SUM_BYTES);
    return auth_digest(span_make(link, sizeof link), chain->bytes);
}

bool sum_print(struct buffer *out, const struct sum *sum)
{
    static const char digits[] = "0123456789abcdef";
    char *at = buffer_reserve(out, SUM_DIGITS);
    if (!at)
        return false;
    for (int i = 0; i < SUM_BYTES; i++) {
        *at++ = digits[sum->bytes[i] >> 4];
        *at++ = digits[sum->bytes[i] & 15];
    }
    out->length += SUM_DIGITS;
    return true;
}
