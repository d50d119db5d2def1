/// Bounds of a ``CurlTransport``.
package struct CurlTransportOptions: Sendable {
    /// Transfers under way at once, at least 1; more wait in a queue, pools taking turns.
    ///
    /// An eighth is the operator's, as of those to one host.
    package var transferCountMax = 512
    /// Transfers under way at once to one host and port, shared out between all pools.
    package var transferCountMaxPerHost = 128
    /// Transfers under way at once in one pool, so that a slow tenant leaves room for the others.
    package var transferCountMaxPerPool = 256
    /// Pools that have connections at once; further ones wait for an idle one to be closed.
    package var poolCountMax = 256
    /// A pool without transfers is closed, with its connections, after this.
    package var poolIdleTime: Duration = .seconds(60)
    /// From the start of a transfer to an open connection, resolution of the name included.
    package var connectTimeout: Duration = .seconds(5)
    /// A transfer on which no byte moves for this long is given up; rounded up to seconds.
    package var silenceTimeMax: Duration = .seconds(120)
    /// Bytes of all header lines of a response, those of 1xx answers and trailers included.
    package var headerByteCountMax = 64 << 10
    /// Header lines of a response, counted in the same way, status lines included.
    package var headerCountMax = 200
    /// Sent with a request that has no `User-Agent` of its own.
    package var userAgent = "Millrace/1"

    package init() {}
}
