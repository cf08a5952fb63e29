package trigger

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/kube"
)

// probing bounds a check of a cluster, which is several requests.
const probing = 45 * time.Second

// A finding is what came of a check.
type finding struct {
	version string
	problem string // one sentence; empty: none
	at      time.Time
}

// fault is the finding as an error for who registers the cluster.
func (f finding) fault() error {
	return fault.New(fault.Invalid, "%s Correct that, or insist by force.", f.problem)
}

// probe asks a cluster who it is, whether it takes the credentials, and whether
// these may do what a trigger needs.
func (t *Triggers) probe(ctx context.Context, a kube.Access, namespaces []string) finding {
	ctx, cancel := context.WithTimeout(ctx, probing)
	defer cancel()
	f := finding{at: time.Now()}
	c, err := kube.New(a, t.o.Dialer)
	if err != nil {
		f.problem = sentence(err)
		return f
	}
	defer c.Close()
	if f.version, err = c.Version(ctx); err != nil {
		f.problem = sentence(err)
		return f
	}
	lacks, err := c.Lacks(ctx, namespaces)
	switch {
	case err != nil:
		f.problem = sentence(err)
	case lacks != "":
		f.problem = "The credentials of the cluster are good, but lack permissions: " + lacks + ". The manifest that the registry shows for a cluster gives them."
	}
	return f
}

// sentence says what is wrong with a cluster: with which part of reaching it.
func sentence(err error) string {
	var c *kube.ConnectError
	var s *kube.StatusError
	var f *fault.Error
	switch {
	case errors.As(err, &c):
		switch c.Part {
		case kube.PartTLS:
			return "The API server at server cannot be trusted. " + c.Error() + "."
		case kube.PartAnswer:
			return "There is something else at server. " + c.Error() + "."
		}
		return "The API server at server cannot be reached: " + c.Error() + "."
	case errors.As(err, &s) && s.Code == 401:
		return "The API server does not accept the credentials (401): token, or client_certificate, is wrong or has expired."
	case errors.As(err, &s):
		return "The API server refuses: " + s.Error() + "."
	case errors.As(err, &f):
		return f.Msg
	case errors.Is(err, context.DeadlineExceeded):
		return "The API server at server cannot be reached: no answer in time."
	}
	return "The API server cannot be used: " + err.Error() + "."
}
