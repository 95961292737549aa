// The witness: a backend that remembers which requests reached it, and when.
//
// Reads: PORT; AFTER, for how long it does not listen yet after its start ("5s").
// Gives: HTTP/1.1 and h2c on one port. A request with X-Id is remembered, and answered
// with the pod's name. /witness tells what was remembered, as JSON.
// Never: forgets before it ends.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"
	"time"
)

// Seen is one request.
type seen struct {
	// Count of arrivals of the same id.
	Count int `json:"count"`
	// First arrival, in nanoseconds since 1970.
	First int64 `json:"first"`
}

type witness struct {
	mutex sync.Mutex
	seen  map[string]*seen
}

func (w *witness) note(id string) {
	now := time.Now().UnixNano()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	known := w.seen[id]
	if known == nil {
		known = &seen{First: now}
		w.seen[id] = known
	}
	known.Count++
}

func (w *witness) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/witness" {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		if err := json.NewEncoder(response).Encode(w.seen); err != nil {
			log.Print(err)
		}
		return
	}
	if id := request.Header.Get("X-Id"); id != "" {
		w.note(id)
	}
	fmt.Fprintln(response, os.Getenv("HOSTNAME"))
}

func main() {
	if after := os.Getenv("AFTER"); after != "" {
		length, err := time.ParseDuration(after)
		if err != nil {
			log.Fatalf("AFTER: %v", err)
		}
		// The length is what the program is asked for: a slow start.
		time.Sleep(length)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{
		Addr:      ":" + port,
		Handler:   &witness{seen: map[string]*seen{}},
		Protocols: &protocols,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 10000},
	}
	log.Fatal(server.ListenAndServe())
}
