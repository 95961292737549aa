package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"sluice/e2e/node/internal/image"
)

// KubernetesVersion must be that of the module in ../kubernetes/go.mod. Components
// know their version from the linker only, and Knative asks the API server for it.
const KubernetesVersion = "v1.36.3"

const versionPackage = "k8s.io/component-base/version"

var (
	stripped  = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w"}
	versioned = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w" +
		" -X " + versionPackage + ".gitVersion=" + KubernetesVersion +
		" -X " + versionPackage + ".gitMajor=1" +
		" -X " + versionPackage + ".gitMinor=" + strings.Split(KubernetesVersion, ".")[1]}
)

func buildOf(flags []string, packages ...string) []string {
	return append(append([]string{"build"}, flags...), packages...)
}

// Kubernetes is one program that is each of Components, by the name it is started as.
func Kubernetes() Group {
	return Group{
		Name: "kubernetes", Module: "kubernetes",
		Arguments: buildOf(versioned, "."), Programs: []string{"kubernetes"}, Links: Components,
		Takes: "about 10 minutes on two cores",
	}
}

// Components of Kubernetes that the one program is.
var Components = []string{"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"}

// CoreDNS is the cluster's DNS server.
func CoreDNS() Group {
	return Group{
		Name: "coredns", Module: "coredns",
		Arguments: buildOf(stripped, "."), Programs: []string{"coredns"},
		Takes: "about 3 minutes on two cores",
	}
}

// Pause holds the namespaces of a pod.
func Pause() Group {
	return Group{
		Name: "pause", Module: "node/pause",
		Arguments: buildOf(stripped, "."), Programs: []string{"pause"},
		Takes: "seconds",
	}
}

// ServingPrograms and BackendPrograms are Knative Serving's own, and the backends of
// the ingress suite.
var (
	ServingPrograms = []string{"activator", "autoscaler", "controller", "queue", "webhook"}
	BackendPrograms = []string{"grpc-ping", "httpproxy", "retry", "runtime", "timeout", "wsserver"}
)

// Knative is every tool of ../knative/go.mod, and the manifests.
func Knative() Group {
	return Group{
		Name: "knative", Module: "knative",
		Arguments: buildOf(stripped, "tool"),
		Programs:  append(append([]string{}, ServingPrograms...), BackendPrograms...),
		Manifests: [][2]string{
			{"knative.dev/serving", "config/core"},
			{"knative.dev/networking", "config"},
			{"knative.dev/caching", "config"},
		},
		Takes: "about 7 minutes on two cores",
	}
}

// Conformance is Knative's ingress suite as one program.
func Conformance() Group {
	return Group{
		Name: "conformance", Module: "knative",
		Arguments: append(append([]string{"test", "-c"}, stripped...), "./conformance"),
		Programs:  []string{"conformance.test"},
		Takes:     "about a minute on two cores",
	}
}

// Archive is an image in the cache.
type Archive struct {
	// Name of the image, with a tag by its content.
	Name string
	Path string
}

// Registry is a name under which no registry is: every image is imported.
const Registry = "local.dev"

// Image makes the image of one program, or finds it made. Repository is its name
// between the registry and the tag.
func (b Builder) Image(built Built, program, repository string) (Archive, error) {
	archive := Archive{
		Name: Registry + "/" + repository + ":" + built.Key[:12],
		Path: filepath.Join(b.Cache, "image-"+strings.ReplaceAll(repository, "/", "-")+"-"+built.Key[:16]+".tar"),
	}
	_, err := os.Stat(archive.Path)
	if !errors.Is(err, os.ErrNotExist) {
		return archive, err
	}
	inside := "/" + program
	return archive, image.Write(archive.Path, image.Image{
		Name:       archive.Name,
		Entrypoint: []string{inside},
		Files:      map[string]string{inside: built.Program(program)},
	})
}
