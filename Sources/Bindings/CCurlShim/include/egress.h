#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

// The decision about an address, made in C because curl asks for it inside its callbacks, between the
// resolution of a name and the connection.

// A range of addresses with a port or any. IPv4 stands as ::ffff:a.b.c.d with 96 bits more.
typedef struct {
    uint8_t address[16];
    uint16_t port;
    uint8_t prefix_bit_count;
    bool is_any_port;
} millrace_range;

// Rules of one policy; never changed once they are in use.
typedef struct millrace_egress millrace_egress;

millrace_egress *_Nullable millrace_egress_create(size_t allowed_count, size_t denied_count);
// Sets one range: first the allowed, then the denied ones.
void millrace_egress_set(millrace_egress *_Nonnull rules, size_t index, millrace_range range);
void millrace_egress_destroy(millrace_egress *_Nullable rules);

// Reads "10.0.0.0/8", "::1" and the like; false where it is no range. Bits after the prefix must be zero.
bool millrace_range_parse(const char *_Nonnull text, millrace_range *_Nonnull range);

// Whether the rules permit a connection. Denied ranges come first, then allowed ones, then the rule that
// an address must be public unicast. Anything that is not IPv4 or IPv6 is refused.
bool millrace_egress_permits(const millrace_egress *_Nonnull rules, const struct sockaddr *_Nonnull address);

// As above for the text of an address, such as curl reports of a connection.
bool millrace_egress_permits_text(const millrace_egress *_Nonnull rules, const char *_Nonnull address, int port);
