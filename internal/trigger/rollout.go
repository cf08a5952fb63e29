package trigger

import (
	"cmp"
	"fmt"

	"berth.dev/berth/internal/kube"
)

// stands tells how a rollout stands, from what the controller says of the
// workload: ended or not, and in the detail how far it is.
func stands(kind string, w *kube.Workload) verdict {
	if kind == "statefulsets" {
		return statefulSet(w)
	}
	return deployment(w)
}

func replicas(w *kube.Workload) int64 {
	if w.Spec.Replicas == nil {
		return 1
	}
	return *w.Spec.Replicas
}

func pending(format string, args ...any) verdict {
	return verdict{detail: fmt.Sprintf(format, args...)}
}

// deployment follows what kubectl rollout status does.
func deployment(w *kube.Workload) verdict {
	s, want := w.Status, replicas(w)
	progress := s.Condition("Progressing")
	switch {
	case w.Spec.Paused:
		return done("The image is set; the workload is paused, so that nothing is replaced until it is resumed.")
	case s.ObservedGeneration < w.Metadata.Generation:
		return pending("the controller has not seen the change")
	case progress.Reason == "ProgressDeadlineExceeded":
		return failed("%s", cmp.Or(progress.Message, "The deadline for progress is over."))
	case s.UpdatedReplicas < want:
		return pending("%d of %d replicas have the image", s.UpdatedReplicas, want)
	case s.Replicas > s.UpdatedReplicas:
		return pending("%d old replicas are not gone", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < s.UpdatedReplicas:
		return pending("%d of %d replicas are available", s.AvailableReplicas, s.UpdatedReplicas)
	}
	return done("%d of %d replicas run it.", s.UpdatedReplicas, want)
}

func statefulSet(w *kube.Workload) verdict {
	s, want := w.Status, replicas(w)
	kept := w.Spec.UpdateStrategy.RollingUpdate.Partition
	switch {
	case w.Spec.UpdateStrategy.Type == "OnDelete":
		return done("The image is set; the workload replaces pods when they are deleted, not before (OnDelete).")
	case s.ObservedGeneration < w.Metadata.Generation:
		return pending("the controller has not seen the change")
	case kept > 0 && s.UpdatedReplicas < want-kept:
		return pending("%d of %d replicas have the image", s.UpdatedReplicas, want-kept)
	case s.ReadyReplicas < want:
		return pending("%d of %d replicas are ready", s.ReadyReplicas, want)
	case kept > 0:
		return done("%d of %d replicas run it; the others are kept by the partition %d.", s.UpdatedReplicas, want, kept)
	case s.UpdateRevision != s.CurrentRevision:
		return pending("%d of %d replicas have the image", s.UpdatedReplicas, want)
	}
	return done("%d of %d replicas run it.", want, want)
}
