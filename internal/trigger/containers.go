package trigger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"berth.dev/berth/internal/kube"
)

// An image is a reference as a container has it.
type image struct{ host, path string }

// parseImage cuts a reference; one without a host is of a registry that we are
// not.
func parseImage(s string) image {
	s, _, _ = strings.Cut(s, "@")
	host, rest, ok := strings.Cut(s, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return image{path: s}
	}
	if at := strings.LastIndexByte(rest, ':'); at > strings.LastIndexByte(rest, '/') {
		rest = rest[:at]
	}
	return image{host, rest}
}

// sameHost compares hosts; a port that its scheme implies does not count.
func sameHost(a, b string) bool {
	trim := func(s string) string {
		return strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(s), ":443"), ":80")
	}
	return trim(a) == trim(b)
}

// A use is a container that gets the image.
type use struct {
	name, image string // image as it is to be
	init        bool
	now         string // image as it is
}

// containers finds those that use the repository, or the one that the trigger
// names, and tells why there is none. Where the operator has said how clients
// call the registry, an image of the same path elsewhere is another one, except
// in the container that is named.
func (d *delivery) containers(w *kube.Workload) (uses []use, problem string) {
	named := d.rule.Container
	suffix := ":" + d.what.Tag
	if d.rule.Pin {
		suffix += "@" + d.what.Digest
	}
	spec := w.Spec.Template.Spec
	for i, c := range append(append([]kube.Container{}, spec.InitContainers...), spec.Containers...) {
		if named != "" && c.Name != named {
			continue
		}
		im := parseImage(c.Image)
		if im.host == "" || im.path != string(d.repo) || named == "" && d.t.o.Host != "" && !sameHost(im.host, d.t.o.Host) {
			if named != "" {
				return nil, fmt.Sprintf("The container %s of %s runs %s, which is no image of %s.", named, d.ref, c.Image, d.repo)
			}
			continue
		}
		uses = append(uses, use{c.Name, im.host + "/" + im.path + suffix, i < len(spec.InitContainers), c.Image})
	}
	if len(uses) == 0 && named != "" {
		return nil, fmt.Sprintf("%s has no container %s.", d.ref, named)
	}
	if len(uses) == 0 {
		of := string(d.repo)
		if d.t.o.Host != "" {
			of = d.t.o.Host + "/" + of
		}
		return nil, fmt.Sprintf("No container of %s uses an image of %s.", d.ref, of)
	}
	return uses, ""
}

const maxAnnotation = 63 // bytes of a name

// annotation is the one that carries the digest of what the repository was
// pushed last, so that the pods are replaced where only the digest is new. Each
// repository has its own: a workload may use several.
func (d *delivery) annotation() string {
	name := "digest-" + strings.ReplaceAll(string(d.repo), "/", ".")
	if len(name) > maxAnnotation || strings.ContainsAny(string(d.repo), ".") {
		sum := sha256.Sum256([]byte(d.repo))
		name = strings.TrimRight(name[:min(len(name), maxAnnotation-9)], ".-_") + "-" + hex.EncodeToString(sum[:4])
	}
	return "berth.dev/" + name
}

func (d *delivery) annotated() string { return d.what.Tag + "@" + d.what.Digest }

// there tells that a template has what it should.
func (d *delivery) there(w *kube.Workload, uses []use) bool {
	for _, u := range uses {
		if u.now != u.image {
			return false
		}
	}
	return w.Spec.Template.Metadata.Annotations[d.annotation()] == d.annotated()
}

// patch is a strategic merge that changes the images and the annotation, if the
// workload is still as it was read: containers are found by their names, and a
// name that is gone meanwhile would come back.
func (d *delivery) patch(w *kube.Workload, uses []use) any {
	type object = map[string]any
	spec := object{}
	for _, u := range uses {
		list := "containers"
		if u.init {
			list = "initContainers"
		}
		all, _ := spec[list].([]object)
		spec[list] = append(all, object{"name": u.name, "image": u.image})
	}
	return object{
		"metadata": object{"resourceVersion": w.Metadata.ResourceVersion},
		"spec": object{"template": object{
			"metadata": object{"annotations": object{d.annotation(): d.annotated()}},
			"spec":     spec,
		}},
	}
}
