package web

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts requests by route. Every counter a request touches is looked
// up once, when its route is made.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	sent     *prometheus.CounterVec
	received *prometheus.CounterVec
	inFlight atomic.Int64
}

// NewMetrics registers the collectors; reg may be nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	route := []string{"route"}
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_http_requests_total", Help: "Requests answered, by route and status."}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "berth_http_request_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 300}}, route),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_http_sent_bytes_total", Help: "Bytes of answer bodies."}, route),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_http_received_bytes_total", Help: "Bytes of request bodies."}, route),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds, m.sent, m.received, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "berth_http_requests_in_flight", Help: "Requests being served."},
			func() float64 { return float64(m.inFlight.Load()) }))
	}
	return m
}

// Fail renders an error as a surface does.
type Fail func(w http.ResponseWriter, r *http.Request, err error)

// Route is one row of a surface's route table as log and metrics know it.
type Route struct {
	// Secret says that the last element of the path must not be logged.
	Secret bool
	// Quiet says that a success is a step of something larger, which has a
	// line of its own: it is logged at debug.
	Quiet bool

	name     string
	fail     Fail
	m        *Metrics
	codes    [6][32]atomic.Pointer[prometheus.Counter] // by status, those in use
	seconds  prometheus.Observer
	sent     prometheus.Counter
	received prometheus.Counter
}

// Route makes the route with this name. fail answers when a handler panics.
func (m *Metrics) Route(name string, fail Fail) *Route {
	return &Route{name: name, fail: fail, m: m,
		seconds:  m.seconds.WithLabelValues(name),
		sent:     m.sent.WithLabelValues(name),
		received: m.received.WithLabelValues(name),
	}
}

// Name is the route's name in log and metrics.
func (rt *Route) Name() string { return rt.name }

func (rt *Route) count(status int, took time.Duration, sent, received int64) {
	rt.code(status).Inc()
	rt.seconds.Observe(took.Seconds())
	if sent > 0 {
		rt.sent.Add(float64(sent))
	}
	if received > 0 {
		rt.received.Add(float64(received))
	}
}

func (rt *Route) code(status int) prometheus.Counter {
	class, n := status/100, status%100
	if class < 0 || class >= len(rt.codes) || n < 0 || n >= len(rt.codes[class]) {
		return rt.m.requests.WithLabelValues(rt.name, strconv.Itoa(status))
	}
	p := &rt.codes[class][n]
	if c := p.Load(); c != nil {
		return *c
	}
	c := rt.m.requests.WithLabelValues(rt.name, strconv.Itoa(status))
	p.Store(&c)
	return c
}
