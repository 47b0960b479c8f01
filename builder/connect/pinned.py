"""TLS to an accepted node: OpenSSL compares the key in every handshake, before anything of a request is written.

The node's certificate is the only thing that the context trusts, so a handshake with any other key fails, whoever
signed its certificate: also after a reconnect, and wherever a redirect leads. Names and dates are not compared, since
the certificate says of both only what the node said itself. A connection cannot be resumed without a new handshake.
"""

from __future__ import annotations

import ssl

from builder.evidence.node_appraisal import AcceptedNode


def ssl_context(node: AcceptedNode) -> ssl.SSLContext:
    """A client's context that speaks to ``node`` and to nobody else, in TLS 1.3.

    Raises TypeError for anything but an accepted node.
    """
    if not isinstance(node, AcceptedNode):
        raise TypeError("an accepted node is expected, see AppraisedNode.accepted")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    # The trust anchor is the leaf itself, which may sign nothing else.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=node.tls_key.certificate)
    context.set_alpn_protocols(["http/1.1"])
    return context
