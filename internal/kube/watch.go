package kube

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// How long one watch lasts, in seconds, and how much one line of it holds.
const (
	watchSeconds = 240
	maxLine      = 4 << 20
)

// ErrGone means that a watch cannot go on from where it was: read the workload
// again.
var ErrGone = errors.New("kube: the watched version is too old")

// Watch calls seen with each state of a workload behind version, until seen
// reports false, the server ends the watch (no error) or the context ends.
// deleted says that the workload is gone. Errors: ErrGone, *StatusError,
// *ConnectError.
func (c *Client) Watch(ctx context.Context, r Ref, version string, seen func(w *Workload, deleted bool) bool) error {
	q := url.Values{"watch": {"true"}, "fieldSelector": {"metadata.name=" + r.Name}, "resourceVersion": {version},
		"timeoutSeconds": {fmt.Sprint(watchSeconds)}}
	resp, err := c.send(ctx, http.MethodGet, r.collection()+"?"+q.Encode(), "", nil)
	if IsCode(err, http.StatusGone) {
		return ErrGone
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		var e watched
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return connectError(err)
		}
		if e.Type == "ERROR" {
			return watchError(e.Object)
		}
		w := &Workload{}
		if err := json.Unmarshal(e.Object, w); err != nil {
			return connectError(err)
		}
		if !seen(w, e.Type == "DELETED") {
			return nil
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err := lines.Err(); err != nil {
		return connectError(err)
	}
	return nil
}

func watchError(object []byte) error {
	var s struct {
		Code            int
		Reason, Message string
	}
	if err := json.Unmarshal(object, &s); err != nil {
		return connectError(err)
	}
	if s.Code == http.StatusGone {
		return ErrGone
	}
	return &StatusError{Code: s.Code, Reason: cut(s.Reason), Message: cut(s.Message)}
}
