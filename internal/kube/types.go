package kube

import "encoding/json"

// Meta is what every object has.
type Meta struct {
	Name            string            `json:"name"`
	UID             string            `json:"uid"`
	ResourceVersion string            `json:"resourceVersion"`
	Generation      int64             `json:"generation"`
	Annotations     map[string]string `json:"annotations"`
	Labels          map[string]string `json:"labels"`
	DeletionTime    string            `json:"deletionTimestamp"`
}

// A Container of a pod's template.
type Container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// Template is that of a workload's pods.
type Template struct {
	Metadata Meta `json:"metadata"`
	Spec     struct {
		Containers     []Container `json:"containers"`
		InitContainers []Container `json:"initContainers"`
	} `json:"spec"`
}

// A Condition is one of a workload or of a pod.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Selector finds the pods of a workload.
type Selector struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	} `json:"matchExpressions"`
}

// A Workload is a Deployment or a StatefulSet; each leaves out what only the
// other has.
type Workload struct {
	Metadata Meta `json:"metadata"`
	Spec     struct {
		Replicas         *int64   `json:"replicas"`
		Paused           bool     `json:"paused"`
		ProgressDeadline *int64   `json:"progressDeadlineSeconds"`
		Selector         Selector `json:"selector"`
		Template         Template `json:"template"`
		UpdateStrategy   struct {
			Type          string `json:"type"`
			RollingUpdate struct {
				Partition int64 `json:"partition"`
			} `json:"rollingUpdate"`
		} `json:"updateStrategy"`
	} `json:"spec"`
	Status WorkloadStatus `json:"status"`
}

// WorkloadStatus is what the controller says.
type WorkloadStatus struct {
	ObservedGeneration int64       `json:"observedGeneration"`
	Replicas           int64       `json:"replicas"`
	UpdatedReplicas    int64       `json:"updatedReplicas"`
	ReadyReplicas      int64       `json:"readyReplicas"`
	AvailableReplicas  int64       `json:"availableReplicas"`
	CurrentRevision    string      `json:"currentRevision"`
	UpdateRevision     string      `json:"updateRevision"`
	Conditions         []Condition `json:"conditions"`
}

// Condition returns the condition of a type; the zero value where there is none.
func (s WorkloadStatus) Condition(kind string) Condition { return condition(s.Conditions, kind) }

func condition(list []Condition, kind string) Condition {
	for _, c := range list {
		if c.Type == kind {
			return c
		}
	}
	return Condition{}
}

// A Pod as far as it tells why it does not run.
type Pod struct {
	Metadata Meta `json:"metadata"`
	Status   struct {
		Phase          string            `json:"phase"`
		Message        string            `json:"message"`
		Reason         string            `json:"reason"`
		Conditions     []Condition       `json:"conditions"`
		Containers     []ContainerStatus `json:"containerStatuses"`
		InitContainers []ContainerStatus `json:"initContainerStatuses"`
	} `json:"status"`
}

// ContainerStatus is that of one container of a pod.
type ContainerStatus struct {
	Name         string `json:"name"`
	Image        string `json:"image"`
	RestartCount int64  `json:"restartCount"`
	State        State  `json:"state"`
	Last         State  `json:"lastState"`
}

// State is what a container does. Both members are nil where it runs.
type State struct {
	Waiting *struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"waiting"`
	Terminated *struct {
		Reason   string `json:"reason"`
		Message  string `json:"message"`
		ExitCode int64  `json:"exitCode"`
	} `json:"terminated"`
}

// list is a page of objects.
type list[T any] struct {
	Metadata Meta `json:"metadata"`
	Items    []T  `json:"items"`
}

// watched is one line of a watch.
type watched struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}
