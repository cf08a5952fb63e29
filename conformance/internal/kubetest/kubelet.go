package kubetest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Kubelet does what one would do for the pods of a namespace: it reports them
// as running, or what is wrong with their images.
type Kubelet struct {
	c  *Cluster
	ns string

	mu     sync.Mutex
	paused bool
	broken map[string]string // part of an image's name -> why it cannot be pulled
}

// kubeletEvery is the pause between two looks at the pods.
const kubeletEvery = 100 * time.Millisecond

// Kubelet runs one until the test ends.
func (c *Cluster) Kubelet(t testing.TB, namespace string) *Kubelet {
	k := &Kubelet{c: c, ns: namespace, broken: map[string]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			k.round(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(kubeletEvery):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return k
}

// Pause leaves pods as they are, or goes on.
func (k *Kubelet) Pause(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paused = on
}

// Break has images with part in their names not be pulled.
func (k *Kubelet) Break(part, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.broken[part] = why
}

func (k *Kubelet) round(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.paused {
		return
	}
	pods, err := k.c.Get(ctx, "/api/v1/namespaces/"+k.ns+"/pods")
	if err != nil {
		return // the test ends, or it is tried again
	}
	items, _ := pods["items"].([]any)
	for _, item := range items {
		pod := item.(Object)
		status, _ := pod["status"].(Object)
		if status["phase"] == "Running" || status["reason"] == "seen" {
			continue
		}
		path := "/api/v1/namespaces/" + k.ns + "/pods/" + pod["metadata"].(Object)["name"].(string) + "/status"
		_ = k.c.Merge(ctx, path, Object{"status": k.status(pod["spec"].(Object))}) // the pod may be gone by now
	}
}

// status is what a kubelet says of a pod.
func (k *Kubelet) status(spec Object) Object {
	var containers []any
	phase, ready := "Running", "True"
	for _, item := range spec["containers"].([]any) {
		c := item.(Object)
		image := c["image"].(string)
		state := Object{"running": Object{"startedAt": time.Now().UTC().Format(time.RFC3339)}}
		for part, why := range k.broken {
			if strings.Contains(image, part) {
				phase, ready = "Pending", "False"
				state = Object{"waiting": Object{"reason": "ImagePullBackOff", "message": why}}
			}
		}
		containers = append(containers, Object{"name": c["name"], "image": image, "imageID": "", "ready": ready == "True", "restartCount": 0, "state": state})
	}
	out := Object{"phase": phase, "containerStatuses": containers,
		"conditions": []any{Object{"type": "Ready", "status": ready, "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}}}
	if phase == "Pending" {
		out["reason"] = "seen"
	}
	return out
}
