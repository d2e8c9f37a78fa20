-- A small chat request, as a client of the gateway sends it.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
wrk.body = '{"model":"llama3.2","stream":true,"messages":[{"role":"user","content":"Why is the sky blue?"}]}'
