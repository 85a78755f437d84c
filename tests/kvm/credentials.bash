# SPDX-License-Identifier: Apache-2.0
# Authorities and certificates for the tests of who may move what. Made anew for every test, and never
# for more than that.

# authority NAME: a new one in its own directory.
authority() {
	mkdir -p "$1"
	openssl req -x509 -newkey ed25519 -nodes -keyout "$1/ca.key" -out "$1/ca.pem" \
		-subj "/CN=$1" -days 30 2>/dev/null
}

# credentials AUTHORITY DIR NAMES: DIR/{ca,cert,key}.pem for subjectAltName NAMES.
credentials() {
	local ca=$1 dir=$2 names=$3
	mkdir -p "$dir"
	openssl req -new -newkey ed25519 -nodes -keyout "$dir/key.pem" -out "$dir/request" \
		-subj "/CN=$dir" 2>/dev/null
	openssl x509 -req -in "$dir/request" -CA "$ca/ca.pem" -CAkey "$ca/ca.key" -CAcreateserial \
		-extfile <(printf 'subjectAltName=%s\n' "$names") -out "$dir/cert.pem" \
		-days 30 2>/dev/null
	cp "$ca/ca.pem" "$dir/ca.pem"
	chmod 600 "$dir/key.pem"
}

# hosts: two that trust each other.
hosts() {
	command -v openssl >/dev/null || skip "openssl is not installed"
	authority ca
	credentials ca here IP:127.0.0.1,DNS:localhost
	credentials ca there IP:127.0.0.1,DNS:localhost
}

# dated DIR FROM TO [NAMES]: dates in the past or the future need the authority's own tool.
dated() {
	local dir=$1 from=$2 to=$3 names=${4:-IP:127.0.0.1}
	credentials ca "$dir" "$names"
	touch "$dir/index"
	cat >"$dir/conf" <<-END
		[ca]
		default_ca = one
		[one]
		database = $dir/index
		new_certs_dir = $dir
		rand_serial = yes
		default_md = default
		policy = any
		[any]
		commonName = supplied
	END
	openssl ca -batch -config "$dir/conf" -cert ca/ca.pem -keyfile ca/ca.key -in "$dir/request" \
		-extfile <(printf 'subjectAltName=%s\n' "$names") \
		-out "$dir/cert.pem" -notext -startdate "$from" -enddate "$to" 2>/dev/null
}
