/// The bounds of a ``CurlTransport``.
package struct CurlTransportOptions: Sendable {
    /// Most transfers in flight at once, at least 1; further ones wait in a queue, and pools take turns.
    ///
    /// One eighth is reserved for the operator, as it is of the transfers to one host.
    package var transferCountMax = 512
    /// Most transfers in flight to one host and port, shared between all pools.
    package var transferCountMaxPerHost = 128
    /// Most transfers in flight in one pool, so that a slow tenant leaves room for the others.
    package var transferCountMaxPerPool = 256
    /// Most pools with open connections; further ones wait until an idle one is closed.
    package var poolCountMax = 256
    /// How long a pool may be without transfers before it is closed with its connections.
    package var poolIdleTime: Duration = .seconds(60)
    /// Longest time from the start of a transfer to an open connection, name resolution included.
    package var connectTimeout: Duration = .seconds(5)
    /// Longest time without a byte moving before a transfer is abandoned; rounded up to whole seconds.
    package var silenceTimeMax: Duration = .seconds(120)
    /// Most bytes of header lines in a response, including those of 1xx responses and trailers.
    package var headerByteCountMax = 64 << 10
    /// Most header lines in a response, counted in the same way, status lines included.
    package var headerCountMax = 200
    /// The `User-Agent` of a request that sets none.
    package var userAgent = "Millrace/1"

    package init() {}
}
