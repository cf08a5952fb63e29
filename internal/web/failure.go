package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"berth.dev/berth/internal/fault"
)

// clientGone is the status that log and metrics show for a request whose
// client did not wait for the answer.
const clientGone = 499

// Failure returns what an error is to the client of a surface, whose table
// status is: 0 for a code that it does not have. The caller may change what it
// gets. Failure notes the error for the log and sets the headers that all
// surfaces have in common: Retry-After, and Allow where an Unsupported carries
// the methods that are. It returns nil where the client is gone and nothing
// more is to be written.
func Failure(w http.ResponseWriter, r *http.Request, err error, status func(fault.Code) int) *fault.Error {
	res := Of(w)
	f := asFault(err, status)
	if r.Context().Err() != nil && status(f.Code) >= http.StatusInternalServerError {
		body := res.BodyFailed()
		if body == nil {
			res.Failed(err)
			w.WriteHeader(clientGone)
			return nil
		}
		err, f = body, asFault(body, status)
	}
	res.Failed(err)
	switch f.Code {
	case fault.TooMany, fault.Unavailable:
		w.Header()["Retry-After"] = []string{strconv.Itoa(retryAfter(f))}
	case fault.Unsupported:
		if allow, ok := f.Detail.(string); ok {
			w.Header()["Allow"] = []string{allow}
		}
	case fault.Internal:
		f.Msg = "Something went wrong in the registry; its log says more under the request id " + res.RequestID() + "."
	}
	return f
}

// asFault returns the fault in err. What was given up without one (a limit of
// time inside, work that another request has taken over) may be tried again;
// anything else is a defect of ours, of which the client sees nothing.
func asFault(err error, status func(fault.Code) int) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) && status(f.Code) != 0 {
		g := *f
		return &g
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Unavailable, err, "The registry gave this request up before it was done; try again.")
	}
	return &fault.Error{Code: fault.Internal, Err: err}
}

// retryAfter is in whole seconds, at least one.
func retryAfter(f *fault.Error) int {
	if d, ok := f.Detail.(time.Duration); ok && d > time.Second {
		return int(math.Ceil(d.Seconds()))
	}
	return 1
}
