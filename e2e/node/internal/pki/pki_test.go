package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func open(t *testing.T) (*Authority, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "pki")
	authority, err := OpenAuthority(folder)
	if err != nil {
		t.Fatal(err)
	}
	return authority, folder
}

func TestACertificateSpeaksForItsSubject(t *testing.T) {
	authority, _ := open(t)
	pair, err := authority.Issue("kubelet", Subject{
		User: "system:node:one", Groups: []string{"system:nodes"},
		Names: []string{"one"}, Addresses: []string{"198.18.0.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := tls.LoadX509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Leaf.Subject.CommonName != "system:node:one" || !slices.Equal(loaded.Leaf.Subject.Organization, []string{"system:nodes"}) {
		t.Errorf("subject %s", loaded.Leaf.Subject)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	for _, name := range []string{"one", "198.18.0.1"} {
		_, err := loaded.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	information, err := os.Stat(pair.Key)
	if err != nil || information.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v", information.Mode(), err)
	}
}

// What runs by a certificate goes on when the node is brought up once more.
func TestWhatWasMadeIsKept(t *testing.T) {
	authority, folder := open(t)
	path := filepath.Join(folder, "admin.kubeconfig")
	subject := Subject{User: "admin", Groups: []string{"system:masters"}}
	read := func() []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	if err := authority.Kubeconfig(path, "https://198.18.0.1:6443", subject); err != nil {
		t.Fatal(err)
	}
	first := read()
	again, err := OpenAuthority(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Kubeconfig(path, "https://198.18.0.1:6443", subject); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first, read()) {
		t.Error("the kubeconfig was made anew")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil || config.Host != "https://198.18.0.1:6443" || len(config.CAData) == 0 || len(config.KeyData) == 0 {
		t.Errorf("kubeconfig %+v, %v", config, err)
	}
	tokens, err := SigningKey(folder)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := SigningKey(folder); err != nil || same != tokens {
		t.Errorf("%v, %v", same, err)
	}
}
