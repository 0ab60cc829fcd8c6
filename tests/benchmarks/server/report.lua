-- What wrk says at the end, as one line of JSON.
function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    'REPORT {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "not_2xx": %d, "sockets": %d, "timeouts": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed.status, failed.connect + failed.read + failed.write, failed.timeout))
end
