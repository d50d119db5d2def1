-- wrk: one small JSON body per request, as a provider's webhook would bring.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"id":"evt_1001","type":"payment.succeeded","data":{"amount":4200,"currency":"EUR"}}'

-- One line a program can read, after wrk's own table.
done = function(summary, latency)
    local e = summary.errors
    io.write(string.format(
        'json {"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p99_ms":%.4f,"refused":%d,"socket_errors":%d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        e.status, e.connect + e.read + e.write + e.timeout))
end
