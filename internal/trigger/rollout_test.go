package trigger

import (
	"encoding/json"
	"strings"
	"testing"

	"berth.dev/berth/internal/kube"
)

func workload(t *testing.T, text string) *kube.Workload {
	t.Helper()
	w := &kube.Workload{}
	if err := json.Unmarshal([]byte(text), w); err != nil {
		t.Fatal(err)
	}
	return w
}

// How a rollout stands, as the status of controllers tells.
func TestStands(t *testing.T) {
	const still, good, bad = "still", "good", "bad"
	for _, c := range []struct{ kind, text, want, detail string }{
		{"deployments", `{"metadata":{"generation":2},"spec":{"replicas":3},"status":{"observedGeneration":1,"replicas":3,"updatedReplicas":3,"availableReplicas":3}}`, still, "not seen"},
		{"deployments", `{"metadata":{"generation":2},"spec":{"replicas":3},"status":{"observedGeneration":2,"replicas":4,"updatedReplicas":1,"availableReplicas":3}}`, still, "1 of 3"},
		{"deployments", `{"metadata":{"generation":2},"spec":{"replicas":3},"status":{"observedGeneration":2,"replicas":4,"updatedReplicas":3,"availableReplicas":3}}`, still, "1 old"},
		{"deployments", `{"metadata":{"generation":2},"spec":{"replicas":3},"status":{"observedGeneration":2,"replicas":3,"updatedReplicas":3,"availableReplicas":2}}`, still, "2 of 3"},
		{"deployments", `{"metadata":{"generation":2},"spec":{"replicas":3},"status":{"observedGeneration":2,"replicas":3,"updatedReplicas":3,"availableReplicas":3}}`, good, "3 of 3"},
		{"deployments", `{"metadata":{"generation":2},"spec":{},"status":{"observedGeneration":2}}`, still, "0 of 1"},
		{"deployments", `{"metadata":{"generation":2},"spec":{"replicas":0},"status":{"observedGeneration":2}}`, good, "0 of 0"},
		{"deployments", `{"metadata":{"generation":2},"spec":{"replicas":3,"paused":true},"status":{"observedGeneration":1}}`, good, "paused"},
		{"deployments", `{"metadata":{"generation":2},"spec":{"replicas":3},"status":{"observedGeneration":2,"updatedReplicas":1,
			"conditions":[{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded","message":"timed out"}]}}`, bad, "timed out"},
		{"deployments", `{"metadata":{"generation":2},"spec":{"replicas":3},"status":{"observedGeneration":1,"updatedReplicas":1,
			"conditions":[{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded"}]}}`, still, "not seen"}, // of the rollout before
		{"statefulsets", `{"metadata":{"generation":2},"spec":{"replicas":2},"status":{"observedGeneration":1,"readyReplicas":2}}`, still, "not seen"},
		{"statefulsets", `{"metadata":{"generation":2},"spec":{"replicas":2},"status":{"observedGeneration":2,"readyReplicas":1,"updateRevision":"b","currentRevision":"a"}}`, still, "1 of 2"},
		{"statefulsets", `{"metadata":{"generation":2},"spec":{"replicas":2},"status":{"observedGeneration":2,"readyReplicas":2,"updatedReplicas":1,"updateRevision":"b","currentRevision":"a"}}`, still, "1 of 2"},
		{"statefulsets", `{"metadata":{"generation":2},"spec":{"replicas":2},"status":{"observedGeneration":2,"readyReplicas":2,"updatedReplicas":2,"updateRevision":"b","currentRevision":"b"}}`, good, "2 of 2"},
		{"statefulsets", `{"metadata":{"generation":2},"spec":{"replicas":0},"status":{"observedGeneration":2,"updateRevision":"b","currentRevision":"b"}}`, good, "0 of 0"},
		{"statefulsets", `{"metadata":{"generation":2},"spec":{"replicas":3,"updateStrategy":{"type":"OnDelete"}},"status":{"observedGeneration":1}}`, good, "OnDelete"},
		{"statefulsets", `{"metadata":{"generation":2},"spec":{"replicas":3,"updateStrategy":{"rollingUpdate":{"partition":1}}},
			"status":{"observedGeneration":2,"readyReplicas":3,"updatedReplicas":1,"updateRevision":"b","currentRevision":"a"}}`, still, "1 of 2"},
		{"statefulsets", `{"metadata":{"generation":2},"spec":{"replicas":3,"updateStrategy":{"rollingUpdate":{"partition":1}}},
			"status":{"observedGeneration":2,"readyReplicas":3,"updatedReplicas":2,"updateRevision":"b","currentRevision":"a"}}`, good, "partition 1"},
	} {
		v := stands(c.kind, workload(t, c.text))
		got := map[bool]string{false: still}[v.ended]
		if v.ended {
			got = map[bool]string{true: good, false: bad}[v.ok]
		}
		if got != c.want || !strings.Contains(v.detail, c.detail) {
			t.Errorf("%s %s: %s, %q, want %s with %q", c.kind, c.text, got, v.detail, c.want, c.detail)
		}
	}
}

// Of several reasons the one that is nearest to the image is told.
func TestPodReason(t *testing.T) {
	const (
		pull  = `{"metadata":{"name":"p1"},"status":{"phase":"Pending","containerStatuses":[{"name":"app","state":{"waiting":{"reason":"ErrImagePull","message":"not found"}}}]}}`
		crash = `{"metadata":{"name":"p2"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False","message":"no"}],"containerStatuses":[{"name":"app",
			"state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off"}},"lastState":{"terminated":{"reason":"Error","exitCode":7,"message":"no database"}}}]}}`
		nowhere = `{"metadata":{"name":"p3"},"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/3 nodes are available"}]}}`
		making  = `{"metadata":{"name":"p4"},"status":{"phase":"Pending","containerStatuses":[{"name":"app","state":{"waiting":{"reason":"ContainerCreating"}}}]}}`
		init    = `{"metadata":{"name":"p5"},"status":{"phase":"Pending","initContainerStatuses":[{"name":"migrate","state":{"terminated":{"reason":"Error","exitCode":1}}}]}}`
		unready = `{"metadata":{"name":"p6"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False","message":"containers with unready status: [app]"}],"containerStatuses":[{"name":"app","state":{}}]}}`
		evicted = `{"metadata":{"name":"p7"},"status":{"phase":"Failed","reason":"Evicted","message":"disk"}}`
	)
	for want, pods := range map[string][]string{
		"": {making},
		"Pod p1: container app: ErrImagePull: not found.":                                         {making, crash, nowhere, pull, unready},
		"Pod p2: container app: CrashLoopBackOff: back-off. It ended with 7 (Error). no database": {unready, crash, nowhere},
		"Pod p3: Unschedulable: 0/3 nodes are available.":                                         {unready, nowhere, making},
		"Pod p5: container migrate: It ended with 1 (Error).":                                     {nowhere, init},
		"Pod p6: NotReady: containers with unready status: [app].":                                {making, unready},
		"Pod p7: Evicted: disk.":                                                                  {evicted, unready},
	} {
		var list []kube.Pod
		if err := json.Unmarshal([]byte("["+strings.Join(pods, ",")+"]"), &list); err != nil {
			t.Fatal(err)
		}
		if got := podReason(list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
