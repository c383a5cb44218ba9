// Ping's answer from Go's net/http. Usage: pong ADDRESS HOST
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: pong ADDRESS HOST")
	}
	pong := []byte("Pong from " + os.Args[2] + "\n")
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(pong)
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
