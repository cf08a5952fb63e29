package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"berth.dev/berth/internal/dial"
)

// Bounds of one request.
const (
	patience   = 15 * time.Second // for an answer's header, and for all of one that is no watch
	maxAnswer  = 8 << 20          // bytes
	maxProblem = 64 << 10         // bytes of an answer that is an error
	maxPods    = 200              // that are looked at for a reason
)

// A Client speaks to one API server. It is safe for use by many goroutines.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New makes a client; it does not connect. Errors: Invalid.
func New(a Access, d *dial.Dialer) (*Client, error) {
	t, err := a.tls()
	if err != nil {
		return nil, err
	}
	transport := d.Transport(t)
	transport.ResponseHeaderTimeout = patience
	return &Client{base: strings.TrimRight(a.Server, "/"), token: a.Token, http: &http.Client{
		Transport: transport,
		// A redirect would carry the credentials to where nobody meant them to go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// send sends a request and returns an answer of 2xx; the caller closes its body.
// Errors: *StatusError, *ConnectError.
func (c *Client) send(ctx context.Context, method, path, kind string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "berth")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errSlow) {
			return nil, cause
		}
		return nil, connectError(err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, statusError(resp)
	}
	return resp, nil
}

var errSlow = errors.New("kube: no answer in time")

// do sends a request and decodes its answer into out.
func (c *Client) do(ctx context.Context, method, path, kind string, body []byte, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSlow)
	defer cancel()
	resp, err := c.send(ctx, method, path, kind, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return connectError(err)
	case len(b) > maxAnswer:
		return fmt.Errorf("the answer of the API server has more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return &ConnectError{Part: PartAnswer, Err: errors.New("what answers is no Kubernetes API server: the answer is no JSON")}
	}
	return nil
}

// A Ref names a workload.
type Ref struct {
	Kind      string // deployments, statefulsets
	Namespace string
	Name      string
}

func (r Ref) collection() string {
	return "/apis/apps/v1/namespaces/" + url.PathEscape(r.Namespace) + "/" + url.PathEscape(r.Kind)
}

func (r Ref) path() string { return r.collection() + "/" + url.PathEscape(r.Name) }

// String is the workload for people: "Deployment web in the namespace shop".
func (r Ref) String() string {
	kind := "Deployment"
	if r.Kind == "statefulsets" {
		kind = "StatefulSet"
	}
	return kind + " " + r.Name + " in the namespace " + r.Namespace
}

// Get reads a workload.
func (c *Client) Get(ctx context.Context, r Ref) (*Workload, error) {
	w := &Workload{}
	return w, c.do(ctx, http.MethodGet, r.path(), "", nil, w)
}

// Patch changes a workload by a strategic merge and returns it as it is then.
func (c *Client) Patch(ctx context.Context, r Ref, patch any) (*Workload, error) {
	b, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	w := &Workload{}
	return w, c.do(ctx, http.MethodPatch, r.path()+"?fieldManager=berth", "application/strategic-merge-patch+json", b, w)
}

// Pods lists pods by their labels, not more than are needed for a reason.
func (c *Client) Pods(ctx context.Context, namespace string, s Selector) ([]Pod, error) {
	q := url.Values{"labelSelector": {s.String()}, "limit": {fmt.Sprint(maxPods)}}
	var l list[Pod]
	err := c.do(ctx, http.MethodGet, "/api/v1/namespaces/"+url.PathEscape(namespace)+"/pods?"+q.Encode(), "", nil, &l)
	return l.Items, err
}

// An Event is what a controller says of an object.
type Event struct {
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Last    string `json:"lastTimestamp"`
}

// Events lists what was said of a workload in the last hour or so.
func (c *Client) Events(ctx context.Context, r Ref) ([]Event, error) {
	q := url.Values{"fieldSelector": {"involvedObject.name=" + r.Name + ",type=Warning"}, "limit": {"50"}}
	var l list[Event]
	err := c.do(ctx, http.MethodGet, "/api/v1/namespaces/"+url.PathEscape(r.Namespace)+"/events?"+q.Encode(), "", nil, &l)
	return l.Items, err
}

// String is the selector as a query has it.
func (s Selector) String() string {
	var parts []string
	for k, v := range s.MatchLabels {
		parts = append(parts, k+"="+v)
	}
	for _, e := range s.MatchExpressions {
		switch e.Operator {
		case "In":
			parts = append(parts, e.Key+" in ("+strings.Join(e.Values, ",")+")")
		case "NotIn":
			parts = append(parts, e.Key+" notin ("+strings.Join(e.Values, ",")+")")
		case "Exists":
			parts = append(parts, e.Key)
		case "DoesNotExist":
			parts = append(parts, "!"+e.Key)
		}
	}
	return strings.Join(parts, ",")
}
