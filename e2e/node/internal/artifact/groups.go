package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"sluice/e2e/node/internal/image"
)

// stripped leaves out what only a debugger reads: half of each program.
const stripped = "-s -w"

func buildOf(linking string, packages ...string) []string {
	return append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=" + linking}, packages...)
}

var pinnedKubernetes = regexp.MustCompile(`(?m)^\s*(?:require )?k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)`)

// KubernetesVersion is the one that ../kubernetes/go.mod pins: "v1.36.3".
func (b Builder) KubernetesVersion() (version, major, minor string, err error) {
	path := filepath.Join(b.Modules, "kubernetes", "go.mod")
	content, err := os.ReadFile(path)
	if err != nil {
		return "", "", "", err
	}
	found := pinnedKubernetes.FindStringSubmatch(string(content))
	if found == nil {
		return "", "", "", fmt.Errorf("%s does not require k8s.io/kubernetes", path)
	}
	return found[1], found[2], found[3], nil
}

// Kubernetes is one program that is each of Components, by the name it is started
// as. A component knows its version from the linker only, and Knative asks for it.
func Kubernetes(version, major, minor string) Group {
	const variables = "k8s.io/component-base/version."
	linking := fmt.Sprintf("%[1]s -X %[2]sgitVersion=%[3]s -X %[2]sgitMajor=%[4]s -X %[2]sgitMinor=%[5]s",
		stripped, variables, version, major, minor)
	return Group{
		Name: "kubernetes", Module: "kubernetes",
		Arguments: buildOf(linking, "."), Programs: []string{"kubernetes"}, Links: Components,
		Takes: "about 10 minutes on two cores",
	}
}

// Components that the one program is.
var Components = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"}

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
		Arguments: []string{"test", "-c", "-trimpath", "-buildvcs=false", "-ldflags=" + stripped, "./conformance"},
		Programs:  []string{"conformance.test"},
		Takes:     "about a minute on two cores",
	}
}

// TestBackends are the programs that Serving's own tests run. Some have the name of one
// of BackendPrograms, and are others.
var TestBackends = []string{
	"autoscale", "configmimic", "failing", "grpc-ping", "hellohttp2", "hellovolume", "helloworld",
	"httpproxy", "pizzaplanetv1", "pizzaplanetv2", "readiness", "runtime", "servingcontainer",
	"sidecarcontainer", "singlethreaded", "slowstart", "timeout", "volumes", "wsserver",
}

// ServingBackends is every tool of ../serving/go.mod, and what else the tests take to
// be in the cluster.
func ServingBackends() Group {
	return Group{
		Name: "serving-backends", Module: "serving",
		Arguments: buildOf(stripped, "tool"), Programs: TestBackends,
		Manifests: [][2]string{{"knative.dev/serving", "test/config"}},
		Takes:     "about a minute on two cores",
	}
}

// ServingTests are Serving's own, a program for each folder below its test.
func ServingTests(folders []string) Group {
	group := Group{
		Name: "serving-tests", Module: "serving",
		Arguments: []string{"test", "-c", "-tags=e2e", "-trimpath", "-buildvcs=false", "-ldflags=" + stripped},
		Takes:     "about 2 minutes on two cores",
	}
	for _, folder := range folders {
		group.Arguments = append(group.Arguments, "knative.dev/serving/test/"+folder)
		group.Programs = append(group.Programs, TestProgram(folder))
	}
	return group
}

// TestProgram is what Go names the program of a folder's tests.
func TestProgram(folder string) string { return filepath.Base(folder) + ".test" }

// Archive is an image in the cache.
type Archive struct {
	// Name of the image, with a tag by its content.
	Name string
	Path string
}

// Registry is a name under which no registry is: its images are imported.
const Registry = "local.dev"

// Tag of every image of a build: by what the programs are made of, and where they lie.
func (b Built) Tag() string {
	sum := sha256.Sum256([]byte(b.Key + image.ProgramFolder))
	return hex.EncodeToString(sum[:])[:12]
}

// Image makes the image of one program, or finds it made. Repository is its name
// between the registry and the tag. The program lies where ko puts it, of which probes
// and commands in Serving's own tests make use.
func (b Builder) Image(built Built, program, registry, repository string) (Archive, error) {
	inside := path.Join(image.ProgramFolder, program)
	archive := Archive{
		Name: registry + "/" + repository + ":" + built.Tag(),
		Path: filepath.Join(b.Cache, "image-"+strings.ReplaceAll(repository, "/", "-")+"-"+built.Tag()+".tar"),
	}
	_, err := os.Stat(archive.Path)
	if !errors.Is(err, os.ErrNotExist) {
		return archive, err
	}
	return archive, image.Write(archive.Path, image.Image{
		Name:       archive.Name,
		Entrypoint: []string{inside},
		Files:      map[string]string{inside: built.Program(program)},
	})
}
