# Varnish before Rostra's sound: one question to the edge however many listeners ask, and who waits is woken the moment the
# answer is there. It speaks no TLS: put HAProxy (deploy/haproxy) or nginx in front of it, or a CDN.
#
# Change the two addresses below. Start varnishd with
#     -p timeout_idle=75 -p thread_pool_max=20000 -s malloc,1G
# (timeout_idle: its default closes connections after five idle seconds, and players that are not of the fast kind ask every
# four). A question that waits for somebody else's answer takes a connection but no thread. In rostra.toml set
#     count_by = "beacon"      # what is answered from here is not heard of by the edge

vcl 4.1;

backend edge {
    .host = "127.0.0.1";
    .port = "8001";
    .connect_timeout = 2s;
    .first_byte_timeout = 20s;         # an edge holds a question for a part up to twelve seconds
    .between_bytes_timeout = 20s;
}

backend door {
    .host = "127.0.0.1";
    .port = "8000";
    .connect_timeout = 2s;
    .first_byte_timeout = 30s;
}

sub vcl_recv {
    if (req.url !~ "^/s/[a-z0-9]+/((hls|low|opus|mp3)/|(live|recording)\.|here|count)" && req.url !~ "^/status-json\.xsl") {
        # Pages, studio, API. state.json says by itself how long it is good for.
        set req.backend_hint = door;
        if (req.url ~ "^/s/[a-z0-9]+/stage") {
            return (pipe);             # events for hours; piped, they come as they are said
        }
        if (req.url !~ "/state\.json$") {
            return (pass);
        }
    } else {
        set req.backend_hint = edge;
        if (req.url ~ "^/s/[a-z0-9]+/live\.") {
            return (pipe);             # a stream without an end is nothing to keep
        }
        if (req.url ~ "^/s/[a-z0-9]+/(recording\.|here|count)") {
            return (pass);             # ranges of a growing file; and counts, which are about one listener each
        }
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Nothing of what is cacheable differs between listeners. What players say of themselves must not make it look as if.
    unset req.http.Cookie;
    unset req.http.Authorization;
    set req.url = regsuball(req.url, "([?&])(CMCD|sid)=[^&]*", "\1");
    set req.url = regsuball(req.url, "([?&])&+", "\1");
    set req.url = regsub(req.url, "[?&]$", "");
    return (hash);
}

sub vcl_hash {
    # One house stands behind this, by whatever name it was asked for.
    hash_data(req.url);
    return (lookup);
}

sub vcl_backend_response {
    if (beresp.http.Cache-Control ~ "no-store" || beresp.status >= 500) {
        # "Not yet", "full, ask again" or "away": told to those who asked, and forgotten. The built-in rule would remember for
        # two minutes that this address is not worth keeping, and let everybody through to the edge for as long.
        set beresp.uncacheable = true;
        set beresp.ttl = 1s;
        return (deliver);
    }
    # Nothing is given after its time: a list that is old puts players behind.
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    return (deliver);
}

sub vcl_deliver {
    # Age is set by Varnish, and must reach the player: from it an LL-HLS player knows how old a list is.
    if (obj.hits > 0) {
        set resp.http.X-Cache = "hit";
    } else {
        set resp.http.X-Cache = "miss";
    }
}
