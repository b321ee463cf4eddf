// Serves every socket that the host passes, and ends in good order: nothing but the standard library.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	firstFd   = 3 // SD_LISTEN_FDS_START of sd_listen_fds(3)
	idleGrace = time.Second
)

func listeners() []net.Listener {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		listener, err := net.Listen("tcp", "127.0.0.1:8080")
		if err != nil {
			log.Fatal(err)
		}
		return []net.Listener{listener}
	}
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	all := make([]net.Listener, count)
	for n := range all {
		listener, err := net.FileListener(os.NewFile(uintptr(firstFd+n), "socket"))
		if err != nil {
			log.Fatal(err)
		}
		// The file of a Unix socket is the host's; Go would remove it on closing.
		if unix, ok := listener.(*net.UnixListener); ok {
			unix.SetUnlinkOnClose(false)
		}
		all[n] = listener
	}
	return all
}

func main() {
	version := "development"
	if text, err := os.ReadFile(".deployctl-version"); err == nil {
		version = strings.TrimSpace(string(text))
	}
	var draining atomic.Bool
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if draining.Load() {
			// The client opens another connection, which the new release gets.
			w.Header().Set("Connection", "close")
		}
		fmt.Fprintf(w, "%s from Go\n", version)
	})}
	all := listeners()
	for _, listener := range all {
		go server.Serve(listener)
	}
	log.Print(version, " begins")

	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	<-stop.Done()
	draining.Store(true)
	for _, listener := range all {
		listener.Close()
	}
	// Shutdown cuts idle connections at once: whoever is about to ask gets an answer first.
	time.Sleep(idleGrace)
	server.Shutdown(context.Background())
}
