#include "egress.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct millrace_egress {
    size_t allowed_count;
    size_t denied_count;
    // The allowed ranges first, then the denied ones.
    millrace_range ranges[];
};

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

typedef struct {
    uint8_t bytes[16];
    uint8_t bit_count;
} block;

// Only 2000::/3 is public unicast, except these blocks in it: protocol assignments with Teredo,
// documentation, 6to4.
static const block v6_refused[] = {
    {{0x20, 0x01, 0x00}, 23},
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x20, 0x02}, 16},
    {{0x3f, 0xff}, 20},
};

static const struct {
    uint32_t address;
    uint32_t mask;
} v4_refused[] = {
    {0x00000000, 0xff000000}, // "this" network
    {0x0a000000, 0xff000000}, // private
    {0x64400000, 0xffc00000}, // carrier-grade translation
    {0x7f000000, 0xff000000}, // loopback
    {0xa83f8110, 0xffffffff}, // 168.63.129.16, a cloud's platform address that looks public
    {0xa9fe0000, 0xffff0000}, // link-local, metadata services
    {0xac100000, 0xfff00000}, // private
    {0xc0000000, 0xffffff00}, // protocol assignments
    {0xc0000200, 0xffffff00}, // documentation
    {0xc0586300, 0xffffff00}, // 6to4 relays
    {0xc0a80000, 0xffff0000}, // private
    {0xc6120000, 0xfffe0000}, // benchmarks
    {0xc6336400, 0xffffff00}, // documentation
    {0xcb007100, 0xffffff00}, // documentation
    {0xe0000000, 0xe0000000}, // multicast and reserved
};

static bool has_prefix(const uint8_t *address, const uint8_t *prefix, unsigned bit_count) {
    unsigned whole = bit_count / 8, rest = bit_count % 8;
    if (memcmp(address, prefix, whole) != 0) return false;
    if (rest == 0) return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return (address[whole] & mask) == (prefix[whole] & mask);
}

static bool is_mapped(const uint8_t *address) { return memcmp(address, mapped_prefix, 12) == 0; }

static bool is_public(const uint8_t *address) {
    if (is_mapped(address)) {
        uint32_t number = (uint32_t)address[12] << 24 | (uint32_t)address[13] << 16 | (uint32_t)address[14] << 8
            | address[15];
        for (size_t i = 0; i < sizeof v4_refused / sizeof *v4_refused; i++)
            if ((number & v4_refused[i].mask) == v4_refused[i].address) return false;
        return true;
    }
    if ((address[0] & 0xe0) != 0x20) return false;
    for (size_t i = 0; i < sizeof v6_refused / sizeof *v6_refused; i++)
        if (has_prefix(address, v6_refused[i].bytes, v6_refused[i].bit_count)) return false;
    return true;
}

static bool matches(const millrace_range *range, const uint8_t *address, uint16_t port) {
    // An IPv6 range never applies to IPv4, although ::/0 contains the mapped addresses numerically.
    if (is_mapped(address) && range->prefix_bit_count < 96) return false;
    return (range->is_any_port || range->port == port)
        && has_prefix(address, range->address, range->prefix_bit_count);
}

// The system connects the unspecified address to this machine, so it counts as loopback.
static void unspecified_to_loopback(uint8_t *address) {
    static const uint8_t zero[16];
    if (is_mapped(address) && memcmp(address + 12, zero, 4) == 0) {
        address[12] = 127;
        address[15] = 1;
    } else if (memcmp(address, zero, 16) == 0) {
        address[15] = 1;
    }
}

static bool permits(const millrace_egress *rules, uint8_t *address, uint16_t port) {
    unspecified_to_loopback(address);
    const millrace_range *denied = rules->ranges + rules->allowed_count;
    for (size_t i = 0; i < rules->denied_count; i++)
        if (matches(&denied[i], address, port)) return false;
    for (size_t i = 0; i < rules->allowed_count; i++)
        if (matches(&rules->ranges[i], address, port)) return true;
    return is_public(address);
}

static void map_v4(uint8_t *address, const struct in_addr *v4) {
    memcpy(address, mapped_prefix, 12);
    memcpy(address + 12, v4, 4);
}

bool millrace_egress_permits(const millrace_egress *rules, const struct sockaddr *address) {
    uint8_t bytes[16];
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        map_v4(bytes, &v4->sin_addr);
        return permits(rules, bytes, ntohs(v4->sin_port));
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        memcpy(bytes, &v6->sin6_addr, 16);
        return permits(rules, bytes, ntohs(v6->sin6_port));
    }
    return false;
}

bool millrace_egress_permits_text(const millrace_egress *rules, const char *text, int port) {
    uint8_t bytes[16];
    struct in_addr v4;
    if (port < 0 || port > 65535) return false;
    if (inet_pton(AF_INET, text, &v4) == 1) map_v4(bytes, &v4);
    else if (inet_pton(AF_INET6, text, bytes) != 1) return false;
    return permits(rules, bytes, (uint16_t)port);
}

bool millrace_range_parse(const char *text, millrace_range *range) {
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof address) return false;
    memcpy(address, text, length);
    address[length] = 0;

    struct in_addr v4;
    unsigned added = 0, most = 128, bits = 0;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        map_v4(range->address, &v4);
        added = 96;
        most = 32;
    } else if (inet_pton(AF_INET6, address, range->address) != 1) {
        return false;
    }
    if (slash) {
        const char *digit = slash + 1;
        if (!*digit || strlen(digit) > 3) return false;
        for (; *digit; digit++) {
            if (*digit < '0' || *digit > '9') return false;
            bits = bits * 10 + (unsigned)(*digit - '0');
        }
        if (bits > most) return false;
    } else {
        bits = most;
    }
    bits += added;
    for (unsigned i = bits; i < 128; i++)
        if (range->address[i / 8] >> (7 - i % 8) & 1) return false;
    range->prefix_bit_count = (uint8_t)bits;
    return true;
}

millrace_egress *millrace_egress_create(size_t allowed_count, size_t denied_count) {
    millrace_egress *rules = calloc(1, sizeof *rules + (allowed_count + denied_count) * sizeof(millrace_range));
    if (!rules) return NULL;
    rules->allowed_count = allowed_count;
    rules->denied_count = denied_count;
    return rules;
}

void millrace_egress_set(millrace_egress *rules, size_t index, millrace_range range) {
    rules->ranges[index] = range;
}

void millrace_egress_destroy(millrace_egress *rules) { free(rules); }
