package trigger

import (
	"context"
	"fmt"
	"strings"

	"berth.dev/berth/internal/kube"
)

// reason asks why a rollout does not go on: the pods that have the new image
// first, then the controller. Empty: nobody says.
func (x *watching) reason(ctx context.Context) string {
	if c := x.w.Status.Condition("ReplicaFailure"); c.Status == "True" {
		return full(c.Reason, c.Message)
	}
	pods, err := x.kube.Pods(ctx, x.ref.Namespace, x.w.Spec.Selector)
	if err != nil {
		return "Why is not known, since the pods cannot be listed: " + err.Error() + "."
	}
	var fresh []kube.Pod
	for _, p := range pods {
		if p.Metadata.Annotations[x.annotation()] == x.annotated() && p.Metadata.DeletionTime == "" {
			fresh = append(fresh, p)
		}
	}
	if why := podReason(fresh); why != "" {
		return why
	}
	if len(fresh) == 0 || x.ref.Kind == "statefulsets" {
		return x.eventReason(ctx)
	}
	return ""
}

// eventReason looks for what the controller could not create. Credentials that
// may not list events leave it unsaid.
func (x *watching) eventReason(ctx context.Context) string {
	events, err := x.kube.Events(ctx, x.ref)
	if err != nil {
		return ""
	}
	var last kube.Event
	for _, e := range events {
		if strings.HasPrefix(e.Reason, "Failed") && e.Last >= last.Last {
			last = e
		}
	}
	return full(last.Reason, last.Message)
}

// podReason is why pods do not run. Of several reasons the one nearest to the
// image counts: a pod that cannot pull says more than one that waits.
func podReason(pods []kube.Pod) string {
	best, rank := "", 0
	better := func(r int, text string) {
		if text != "" && r > rank {
			best, rank = text, r
		}
	}
	for _, p := range pods {
		of := "Pod " + p.Metadata.Name + ": "
		for _, c := range append(append([]kube.ContainerStatus{}, p.Status.InitContainers...), p.Status.Containers...) {
			r, text := containerReason(c)
			if text != "" {
				better(r, of+"container "+c.Name+": "+text)
			}
		}
		for _, c := range p.Status.Conditions {
			switch {
			case c.Type == "PodScheduled" && c.Status == "False":
				better(30, of+full(c.Reason, c.Message))
			case c.Type == "Ready" && c.Status == "False" && p.Status.Phase == "Running":
				better(10, of+full("NotReady", c.Message))
			}
		}
		if p.Status.Phase == "Failed" {
			better(20, of+full(p.Status.Reason, p.Status.Message))
		}
	}
	return best
}

// quiet are states on the way, not reasons.
var quiet = map[string]bool{"": true, "ContainerCreating": true, "PodInitializing": true}

func containerReason(c kube.ContainerStatus) (rank int, text string) {
	w, last := c.State.Waiting, c.Last.Terminated
	if c.State.Terminated != nil && c.State.Terminated.ExitCode != 0 {
		last = c.State.Terminated
	}
	switch {
	case w != nil && !quiet[w.Reason]:
		text, rank = full(w.Reason, w.Message), 40
		if strings.Contains(w.Reason, "Image") {
			rank = 50
		}
		if strings.HasPrefix(w.Reason, "CrashLoop") && last != nil {
			text += " " + ended(last.Reason, last.Message, last.ExitCode)
		}
	case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
		text, rank = ended(last.Reason, last.Message, last.ExitCode), 35
	}
	return rank, text
}

func ended(reason, message string, code int64) string {
	return strings.TrimSpace(fmt.Sprintf("It ended with %d (%s). %s", code, reason, message))
}

const maxReason = 1000 // bytes

// full joins a reason and its message to a sentence.
func full(reason, message string) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(message, "?")), " ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	switch {
	case reason == "":
	case text == "":
		text = reason
	default:
		text = reason + ": " + text
	}
	if text != "" && !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}
