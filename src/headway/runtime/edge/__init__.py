"""
HTTP caching: what an answer says to caches, conditional requests, purging edges. Standard library only.
"""

from headway.runtime.edge.conditional import etag, not_modified
from headway.runtime.edge.nginx import nginx
from headway.runtime.edge.policy import Policy, vary
from headway.runtime.edge.purge import Cloudflare, CloudFront, Fastly, NginxRefresh, PurgeFailed, Varnish

__all__ = [
    "CloudFront",
    "Cloudflare",
    "Fastly",
    "NginxRefresh",
    "Policy",
    "PurgeFailed",
    "Varnish",
    "etag",
    "nginx",
    "not_modified",
    "vary",
]
