import t from 'tap'
import { readMetrics } from '../../../../agent/health/metrics.ts'

const text = `# HELP http_requests_total All of them.
# TYPE http_requests_total counter
http_requests_total{method="get",code="200"} 1027
http_requests_total{method="post",code="500"} 3 1395066363000
http_requests_total{method="post",code="503"} 4
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{path="/",le="0.05"} 10
http_request_duration_seconds_bucket{path="/",le="+Inf"} 12
http_request_duration_seconds_sum{path="/"} 1.5
http_request_duration_seconds_count{path="/"} 12
http_request_duration_seconds_bucket{path="/x",le="0.05"} 1
http_request_duration_seconds_bucket{path="/x",le="+Inf"} 2
http_request_duration_seconds_sum{path="/x"} 0.5
http_request_duration_seconds_count{path="/x"} 2
`

t.test('counters are summed over the series that are meant, histograms bucket by bucket', async (t) => {
  t.strictSame(
    readMetrics(text, {
      requests: { name: 'http_requests_total' },
      errors: { name: 'http_requests_total', labels: { code: '5*', method: 'post' } },
      latency: { name: 'http_request_duration_seconds' },
    }),
    {
      requests: 1034,
      errors: 7,
      latency: [
        [0.05, 11],
        [null, 14],
      ],
    },
  )
})

t.test('what is not there has counted nothing, or says nothing', async (t) => {
  t.strictSame(readMetrics('', { requests: { name: 'x' }, latency: { name: 'y' } }), {
    requests: 0,
    errors: null,
    latency: null,
  })
  t.strictSame(readMetrics('x NaN\n', { requests: { name: 'x' } }), {
    requests: 0,
    errors: null,
    latency: null,
  })
})
