-- Prints wrk's result as one line of JSON for wrk.rs: counts, and times in microseconds.
function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        'report {"requests":%d,"duration":%d,"errors":%d,"p50":%d,"p99":%d,"p99.9":%d}',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
