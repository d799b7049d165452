"""ART spells it "defences"; here it is ``art_snn.defenses``."""

raise ImportError("art_snn spells it with an s: use art_snn.defenses (ART's own generic ones are in art.defences)")
