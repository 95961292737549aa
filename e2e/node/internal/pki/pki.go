// Package pki makes the node's certificates, keys and kubeconfigs.
//
// Reads: what it made before: a file that is there is kept, so that what runs by it goes on.
// Gives: one authority, a certificate for each of the node's parts, kubeconfigs.
// Never: trusts or signs anything outside the node; all of it is removed with it.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A node is a matter of hours.
const lifetime = 30 * 24 * time.Hour

// Pair names a certificate's file and its key's.
type Pair struct {
	Certificate string
	Key         string
}

// Authority signs the node's certificates.
type Authority struct {
	Pair
	folder      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// OpenAuthority makes the authority of a folder, or reads it.
func OpenAuthority(folder string) (*Authority, error) {
	authority := &Authority{Pair: pairIn(folder, "authority"), folder: folder}
	if !exists(authority.Pair) {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		template, err := template("sluice-node", nil)
		if err != nil {
			return nil, err
		}
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		if err := write(authority.Pair, template, template, key, key); err != nil {
			return nil, err
		}
	}
	certificate, err := readPEM(authority.Certificate)
	if err != nil {
		return nil, err
	}
	if authority.certificate, err = x509.ParseCertificate(certificate); err != nil {
		return nil, fmt.Errorf("%s: %w", authority.Certificate, err)
	}
	key, err := readPEM(authority.Key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", authority.Key, err)
	}
	signer, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key of another kind than ECDSA; remove it", authority.Key)
	}
	authority.key = signer
	return authority, nil
}

// Subject is who a certificate speaks for.
type Subject struct {
	// User is the common name: to the API server, the user's name.
	User string
	// Groups are the organisations: to the API server, the user's groups.
	Groups []string
	// Names and Addresses that a server answers to; none for a client.
	Names     []string
	Addresses []string
}

// Issue makes a certificate, or names the one made before.
func (a *Authority) Issue(name string, subject Subject) (Pair, error) {
	pair := pairIn(a.folder, name)
	if exists(pair) {
		return pair, nil
	}
	template, err := template(subject.User, subject.Groups)
	if err != nil {
		return Pair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	template.DNSNames = subject.Names
	for _, address := range subject.Addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	return pair, write(pair, template, a.certificate, key, a.key)
}

// SigningKey makes the key that signs the tokens of service accounts, and its public half.
func SigningKey(folder string) (Pair, error) {
	pair := Pair{Certificate: filepath.Join(folder, "tokens.pub"), Key: filepath.Join(folder, "tokens.key")}
	if exists(pair) {
		return pair, nil
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Pair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return Pair{}, err
	}
	return pair, errors.Join(
		writePEM(pair.Key, "PRIVATE KEY", private, 0o600),
		writePEM(pair.Certificate, "PUBLIC KEY", public, 0o644),
	)
}

// Kubeconfig makes a certificate for a user and writes a kubeconfig that needs no
// other file.
func (a *Authority) Kubeconfig(path, server string, subject Subject) error {
	pair, err := a.Issue("user-"+filepath.Base(path), subject)
	if err != nil {
		return err
	}
	var content [3][]byte
	for i, file := range []string{a.Certificate, pair.Certificate, pair.Key} {
		if content[i], err = os.ReadFile(file); err != nil {
			return err
		}
	}
	const name = "sluice-node"
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: server, CertificateAuthorityData: content[0]}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {ClientCertificateData: content[1], ClientKeyData: content[2]}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
}

func pairIn(folder, name string) Pair {
	return Pair{Certificate: filepath.Join(folder, name+".crt"), Key: filepath.Join(folder, name+".key")}
}

func exists(pair Pair) bool {
	for _, path := range []string{pair.Certificate, pair.Key} {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return true
}

func template(user string, groups []string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: user, Organization: groups},
		// Clocks of one machine agree; an hour is for one that was set back.
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(lifetime),
	}, nil
}

func write(pair Pair, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) error {
	certificate, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(pair.Key, "PRIVATE KEY", encoded, 0o600),
		writePEM(pair.Certificate, "CERTIFICATE", certificate, 0o644),
	)
}

func writePEM(path, kind string, content []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), mode)
}

func readPEM(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block; remove it", path)
	}
	return block.Bytes, nil
}
