//! What things are made of, and which colour that has in which season.

/// A season of the year, on the northern half of the globe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// Fresh green, rape in flower.
    Spring,
    /// Deep green, ripe corn.
    Summer,
    /// Yellow and brown leaves, bare fields.
    Autumn,
    /// Bare trees, pale grass, in places snow.
    Winter,
}

impl Season {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Spring, Self::Summer, Self::Autumn, Self::Winter];
}

/// How a surface varies within a few metres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// Not at all.
    None,
    /// Grass and low plants.
    Grass,
    /// Asphalt, concrete, paving.
    Hard,
    /// Soil, gravel, sand.
    Loose,
    /// Leaves.
    Leaf,
    /// Roofs.
    Roof,
    /// Water.
    Water,
}

/// Materials; each has one colour per season.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Material {
    Grass,
    Lawn,
    Meadow,
    Soil,
    Wheat,
    Rape,
    Maize,
    Beet,
    Asphalt,
    AsphaltOld,
    Concrete,
    Paving,
    PavingRed,
    Gravel,
    Sand,
    Water,
    Pool,
    Marking,
    Clay,
    Turf,
    Tartan,
    RoofRed,
    RoofOrange,
    RoofBrown,
    RoofGrey,
    RoofSlate,
    RoofFlat,
    RoofPebble,
    RoofGreen,
    RoofMetal,
    WallWhite,
    WallCream,
    WallYellow,
    WallBrick,
    WallGrey,
    WallBlue,
    WallGreen,
    WallDark,
    Glass,
    WindowFrame,
    Door,
    Solar,
    Broadleaf,
    BroadleafDark,
    Conifer,
    Hedge,
    Bark,
    Steel,
    Sleeper,
    PaintWhite,
    PaintBlack,
    PaintSilver,
    PaintRed,
    PaintBlue,
    PaintGreen,
    PaintYellow,
    Tyre,
}

use Material as M;

impl Material {
    /// Red, green and blue of 0 to 255 in the light of noon.
    pub fn colour(self, season: Season) -> [u8; 3] {
        self.plant_colour(season).unwrap_or_else(|| self.lasting_colour())
    }

    /// How it varies within a few metres.
    pub fn grain(self) -> Grain {
        match self {
            M::Grass | M::Lawn | M::Meadow | M::Turf | M::Wheat | M::Rape | M::Maize | M::Beet | M::RoofGreen => {
                Grain::Grass
            }
            M::Asphalt | M::AsphaltOld | M::Concrete | M::Paving | M::PavingRed | M::Clay | M::Tartan => Grain::Hard,
            M::Soil | M::Gravel | M::Sand | M::Sleeper => Grain::Loose,
            M::Broadleaf | M::BroadleafDark | M::Conifer | M::Hedge => Grain::Leaf,
            M::RoofRed | M::RoofOrange | M::RoofBrown | M::RoofGrey | M::RoofSlate | M::RoofFlat | M::RoofPebble => {
                Grain::Roof
            }
            M::Water => Grain::Water,
            _ => Grain::None,
        }
    }

    fn plant_colour(self, season: Season) -> Option<[u8; 3]> {
        let [spring, summer, autumn, winter] = match self {
            M::Grass => [[92, 122, 58], [98, 112, 58], [108, 108, 62], [112, 108, 78]],
            M::Lawn => [[84, 128, 56], [92, 122, 58], [96, 112, 58], [98, 104, 68]],
            M::Meadow => [[108, 130, 62], [132, 128, 74], [126, 116, 72], [120, 112, 82]],
            M::Turf => [[72, 126, 54], [70, 120, 52], [78, 112, 54], [86, 104, 62]],
            M::Wheat => [[104, 138, 66], [188, 164, 104], [132, 108, 78], [108, 110, 66]],
            M::Rape => [[196, 188, 62], [126, 134, 78], [112, 92, 68], [92, 112, 62]],
            M::Maize => [[128, 106, 80], [72, 106, 48], [152, 138, 88], [122, 104, 80]],
            M::Beet => [[112, 112, 70], [64, 116, 52], [84, 108, 56], [104, 88, 68]],
            M::Soil => [[122, 100, 76], [138, 116, 88], [110, 88, 66], [100, 84, 66]],
            M::Broadleaf => [[98, 134, 60], [66, 98, 46], [158, 112, 48], [104, 92, 76]],
            M::BroadleafDark => [[84, 118, 54], [54, 84, 42], [128, 84, 44], [96, 84, 70]],
            M::Conifer => [[50, 78, 48], [46, 74, 44], [46, 70, 44], [48, 68, 48]],
            M::Hedge => [[66, 100, 48], [58, 88, 44], [76, 84, 44], [74, 76, 56]],
            M::RoofGreen => [[98, 122, 70], [112, 118, 70], [116, 104, 68], [104, 98, 74]],
            M::Water => [[62, 84, 84], [54, 80, 82], [58, 76, 74], [70, 80, 84]],
            _ => return None,
        };
        Some(match season {
            Season::Spring => spring,
            Season::Summer => summer,
            Season::Autumn => autumn,
            Season::Winter => winter,
        })
    }

    fn lasting_colour(self) -> [u8; 3] {
        match self {
            M::Asphalt => [98, 99, 102],
            M::AsphaltOld => [124, 122, 120],
            M::Concrete => [168, 164, 156],
            M::Paving => [158, 152, 144],
            M::PavingRed => [156, 126, 112],
            M::Gravel => [164, 154, 138],
            M::Sand => [206, 190, 152],
            M::Pool => [92, 178, 202],
            M::Marking => [228, 228, 222],
            M::Clay => [178, 98, 68],
            M::Tartan => [164, 74, 62],
            M::RoofRed => [150, 82, 66],
            M::RoofOrange => [178, 106, 76],
            M::RoofBrown => [112, 82, 68],
            M::RoofGrey => [122, 120, 120],
            M::RoofSlate => [80, 84, 92],
            M::RoofFlat => [146, 144, 142],
            M::RoofPebble => [176, 170, 160],
            M::RoofMetal => [186, 190, 194],
            M::WallWhite => [222, 218, 208],
            M::WallCream => [214, 198, 168],
            M::WallYellow => [212, 184, 122],
            M::WallBrick => [152, 92, 74],
            M::WallGrey => [166, 166, 164],
            M::WallBlue => [136, 156, 176],
            M::WallGreen => [146, 164, 138],
            M::WallDark => [96, 92, 90],
            M::Glass => [58, 70, 84],
            M::WindowFrame => [232, 230, 224],
            M::Door => [92, 68, 52],
            M::Solar => [40, 48, 78],
            M::Bark => [92, 76, 62],
            M::Steel => [132, 128, 124],
            M::Sleeper => [124, 114, 102],
            M::PaintWhite => [226, 226, 226],
            M::PaintBlack => [42, 42, 46],
            M::PaintSilver => [160, 164, 168],
            M::PaintRed => [158, 42, 38],
            M::PaintBlue => [48, 72, 132],
            M::PaintGreen => [62, 98, 70],
            M::PaintYellow => [214, 176, 52],
            _ => [38, 38, 40],
        }
    }
}

/// A material in a lighter or darker variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// What it is.
    pub material: Material,
    /// Percent by which it is lighter than usual.
    pub tone: i8,
}

/// A material as usual.
pub const fn plain(material: Material) -> Paint {
    Paint { material, tone: 0 }
}

/// A material that is lighter by some percent.
pub fn toned(material: Material, percent: f64) -> Paint {
    Paint { material, tone: percent.clamp(-90.0, 90.0) as i8 }
}
