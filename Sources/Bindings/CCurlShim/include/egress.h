#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

// The decision about an address. It is made in C because libcurl asks for it in callbacks, between name resolution and
// connection.

// A range of addresses with one port or any. IPv4 is stored as ::ffff:a.b.c.d, with a prefix longer by 96 bits.
typedef struct {
    uint8_t address[16];
    uint16_t port;
    uint8_t prefix_bit_count;
    bool is_any_port;
} millrace_range;

// The rules of one policy; immutable once in use.
typedef struct millrace_egress millrace_egress;

millrace_egress *_Nullable millrace_egress_create(size_t allowed_count, size_t denied_count);
// Sets one range; the indexes of allowed ranges come before those of denied ones.
void millrace_egress_set(millrace_egress *_Nonnull rules, size_t index, millrace_range range);
void millrace_egress_destroy(millrace_egress *_Nullable rules);

// Parses a range such as "10.0.0.0/8" or "::1"; false if it is invalid. Bits after the prefix must be zero.
bool millrace_range_parse(const char *_Nonnull text, millrace_range *_Nonnull range);

// Whether the rules permit a connection. Denied ranges take precedence over allowed ones; any other address must be
// public unicast. Anything but IPv4 and IPv6 is refused.
bool millrace_egress_permits(const millrace_egress *_Nonnull rules, const struct sockaddr *_Nonnull address);

// Like the function above, for an address as text, as libcurl reports it for a connection.
bool millrace_egress_permits_text(const millrace_egress *_Nonnull rules, const char *_Nonnull address, int port);
