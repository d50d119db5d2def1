-- wrk: one small JSON body per request, as a provider's webhook would bring.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"id":"evt_1001","type":"payment.succeeded","data":{"amount":4200,"currency":"EUR"}}'
