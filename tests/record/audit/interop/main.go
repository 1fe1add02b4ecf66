// Checks checkpoints and proofs with implementations that know nothing of ours: golang.org/x/mod/sumdb (which checks
// the Go checksum database) and github.com/transparency-dev/merkle (which checks Certificate Transparency).
//
// Reads one JSON request from standard input and prints "ok" lines, or fails.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type request struct {
	VKey        string   // of the chain
	Lines       []string // all records of the chain
	Checkpoints []string // signed notes, oldest first
	Inclusions  []inclusion
	Consistency []string // as for a witness: "old N", hashes, blank line, checkpoint
}

type inclusion struct {
	Record string
	Proof  string // c2sp.org/tlog-proof@v1
}

func main() {
	var r request
	check(json.NewDecoder(os.Stdin).Decode(&r))
	verifier, err := note.NewVerifier(r.VKey)
	check(err)
	verifiers := note.VerifierList(verifier)

	// The trees of both libraries over the lines, and the root of each checkpoint.
	roots := map[int64][]byte{0: rfc6962.DefaultHasher.EmptyRoot()}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree := factory.NewEmptyRange(0)
	for i, line := range r.Lines {
		hashes, err := tlog.StoredHashes(int64(i), []byte(line), reader)
		check(err)
		stored = append(stored, hashes...)
		check(tree.Append(rfc6962.DefaultHasher.HashLeaf([]byte(line)), nil))
		root, err := tree.GetRootHash(nil)
		check(err)
		other, err := tlog.TreeHash(int64(i+1), reader)
		check(err)
		same(root, other[:])
		roots[int64(i+1)] = root
	}
	for _, text := range r.Checkpoints {
		size, root := open(text, verifiers)
		same(root, roots[size])
		fmt.Println("ok checkpoint", size)
	}

	for _, in := range r.Inclusions {
		head, text, _ := strings.Cut(in.Proof, "\n\n")
		lines := strings.Split(head, "\n")
		if lines[0] != "c2sp.org/tlog-proof@v1" {
			fail("no tlog-proof")
		}
		index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
		check(err)
		hashes := decode(lines[2:])
		size, root := open(text, verifiers)
		leaf := rfc6962.DefaultHasher.HashLeaf([]byte(in.Record))
		check(proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(size), leaf, hashes, root))
		var path tlog.RecordProof
		for _, hash := range hashes {
			path = append(path, tlog.Hash(hash))
		}
		check(tlog.CheckRecord(path, size, tlog.Hash(root), index, tlog.RecordHash([]byte(in.Record))))
		if proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(size), roots[1], hashes, root) == nil && index != 0 {
			fail("a wrong record was proven")
		}
		fmt.Println("ok inclusion", index)
	}

	for _, text := range r.Consistency {
		head, after, _ := strings.Cut(text, "\n\n")
		lines := strings.Split(head, "\n")
		old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
		check(err)
		hashes := decode(lines[1:])
		size, root := open(after, verifiers)
		check(proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(size), hashes, roots[old], root))
		if old > 0 {
			var path tlog.TreeProof
			for _, hash := range hashes {
				path = append(path, tlog.Hash(hash))
			}
			check(tlog.CheckTree(path, size, tlog.Hash(root), old, tlog.Hash(roots[old])))
		}
		fmt.Println("ok consistency", old, size)
	}
}

func open(text string, verifiers note.Verifiers) (int64, []byte) {
	opened, err := note.Open([]byte(text), verifiers)
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != opened.Sigs[0].Name {
		fail("the key is not named like the origin")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	return size, root
}

func decode(lines []string) [][]byte {
	hashes := [][]byte{}
	for _, line := range lines {
		if line == "" {
			continue
		}
		hash, err := base64.StdEncoding.DecodeString(line)
		check(err)
		if len(hash) != sha256.Size {
			fail("a hash is not one")
		}
		hashes = append(hashes, hash)
	}
	return hashes
}

func same(a, b []byte) {
	if !bytes.Equal(a, b) {
		fail(fmt.Sprintf("roots differ: %x and %x", a, b))
	}
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(what string) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}
