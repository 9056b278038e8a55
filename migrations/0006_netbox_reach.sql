-- How NetBox is reached, where port and certificate checks do not tell enough.
ALTER TABLE netbox_endpoints ADD COLUMN scheme TEXT CHECK (scheme IN ('http', 'https'));
ALTER TABLE netbox_endpoints ADD COLUMN base_path TEXT NOT NULL DEFAULT '';
ALTER TABLE netbox_endpoints ADD COLUMN tls_ca_pem TEXT;
ALTER TABLE netbox_endpoints ADD COLUMN tls_fingerprint TEXT;
