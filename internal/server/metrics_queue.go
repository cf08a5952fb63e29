package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// queueFigures are read from the database when they are asked for.
type queueFigures struct{ c *core }

var (
	eventsDepth = prometheus.NewDesc("berth_events", "Events that are not jobs yet.", nil, nil)
	jobsDepth   = prometheus.NewDesc("berth_jobs", "Jobs by kind and state.", []string{"kind", "state"}, nil)
	jobsAge     = prometheus.NewDesc("berth_jobs_age_seconds", "For how long the oldest job has been due.", []string{"kind", "state"}, nil)
)

// queueRead bounds the reading of the queue's depth.
const queueRead = 5 * time.Second

// Describe implements prometheus.Collector.
func (q *queueFigures) Describe(to chan<- *prometheus.Desc) {
	to <- eventsDepth
	to <- jobsDepth
	to <- jobsAge
}

// Collect implements prometheus.Collector. Where the database does not answer
// in time the figures are missing, and the others are not held up.
func (q *queueFigures) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), queueRead)
	defer cancel()
	if n, err := q.c.registry.PendingEvents(ctx); err == nil {
		to <- prometheus.MustNewConstMetric(eventsDepth, prometheus.GaugeValue, float64(n))
	}
	depths, err := q.c.jobs.Depths(ctx)
	if err != nil {
		return
	}
	for _, d := range depths {
		to <- prometheus.MustNewConstMetric(jobsDepth, prometheus.GaugeValue, float64(d.Jobs), d.Kind, string(d.State))
		to <- prometheus.MustNewConstMetric(jobsAge, prometheus.GaugeValue, d.Age.Seconds(), d.Kind, string(d.State))
	}
}
