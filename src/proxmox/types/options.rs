//! Options of the whole cluster.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::proxmox::wire;

/// The answer of `cluster/options`, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ClusterOptions {
    /// How tags look: `color-map=prod:ff0000;db:0f0`. Releases answer text or an object; this is always the text.
    #[serde(default, rename = "tag-style", deserialize_with = "wire::option_text")]
    pub tag_style: Option<String>,
    /// The other options, as sent.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tag_style_is_the_same_from_text_and_object() {
        for style in [
            json!("color-map=prod:ff0000;db:0f0,shape=full"),
            json!({"color-map": "prod:ff0000;db:0f0", "shape": "full"}),
        ] {
            let options: ClusterOptions =
                serde_json::from_value(json!({"tag-style": style, "keyboard": "de"})).unwrap();
            assert_eq!(
                options.tag_style.as_deref(),
                Some("color-map=prod:ff0000;db:0f0,shape=full"),
                "{style}"
            );
            assert_eq!(options.other["keyboard"], "de");
        }
        assert_eq!(
            serde_json::from_value::<ClusterOptions>(json!({})).unwrap(),
            ClusterOptions::default()
        );
    }
}
