import CMicroHTTPShim

/// The callbacks through which C reaches ``MicroHTTPServer``; no closure captures anything.
///
/// The server is passed unretained, because it keeps itself alive until its threads have ended. A connection
/// is retained from open to close, an exchange from its request line to its end.
enum Callbacks {
    static func table(for server: MicroHTTPServer) -> millrace_http_callbacks {
        millrace_http_callbacks(
            context: Unmanaged.passUnretained(server).toOpaque(),
            opened: { context, socket, loop, peer in
                guard let server = borrow(MicroHTTPServer.self, context), let peer else { return nil }
                let connection = Connection(
                    server: server, socket: socket, loop: loop, peer: String(cString: peer))
                // Before its first byte is read, so that it gets no response; the library closes it.
                if !server.connections.add(connection) { millrace_http_cut(socket) }
                return Unmanaged.passRetained(connection).toOpaque()
            },
            closed: { context in
                guard let context else { return }
                let connection = Unmanaged<Connection>.fromOpaque(context).takeRetainedValue()
                connection.noteClosed()
                connection.server?.connections.remove(connection)
            },
            began: { context, connection, target in
                guard let server = borrow(MicroHTTPServer.self, context),
                    let connection = borrow(Connection.self, connection), let target
                else { return nil }
                let exchange = Exchange(
                    server: server, connection: connection, target: String(cString: target))
                connection.noteBegun(exchange)
                return Unmanaged.passRetained(exchange).toOpaque()
            },
            advanced: { exchange, handle, url, method, version, bytes, byteCount in
                guard let exchange = borrow(Exchange.self, exchange), let handle, let url, let method,
                    let version
                else { return false }
                return exchange.advance(
                    handle, head: Exchange.RawHead(url: url, method: method, version: version),
                    body: UnsafeRawBufferPointer(start: bytes, count: byteCount))
            },
            ended: { exchange in
                guard let exchange else { return }
                Unmanaged<Exchange>.fromOpaque(exchange).takeRetainedValue().noteEnded()
            })
    }
}

private func borrow<Object: AnyObject>(_: Object.Type, _ raw: UnsafeMutableRawPointer?) -> Object? {
    raw.map { Unmanaged<Object>.fromOpaque($0).takeUnretainedValue() }
}
