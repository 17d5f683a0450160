"""Words of finance by what they do to a sentence's tone. The lists are Alfred's own, and so are their weights.

The idea that finance needs lists of its own ("liability" and "tax" are not bad news there) is Loughran and McDonald's,
"When is a liability not a liability?", Journal of Finance 66 (2011). Their lists are not used: their terms do not let
a program ship them.

Words are parted by blanks, phrases by semicolons. `alfred.language._book` inflects verbs and nouns.
"""

GOOD_VERBS = {
    0.9: "outperform excel thrive flourish",
    0.7: """improve strengthen win benefit delight impress reward upgrade outpace praise revive revitalise
        revitalize prosper""",
    0.45: """achieve stabilise stabilize attract secure simplify streamline modernise modernize innovate enhance
        enable approve reopen reinstate renew repay progress""",
}
GOOD_NOUNS = {
    0.9: "breakthrough windfall",
    0.7: "success improvement turnaround upturn upside win strength boom milestone achievement recovery",
    0.45: """benefit opportunity progress gain advantage approval buyback repurchase synergy efficiency savings
        saving agreement innovation momentum popularity leadership profitability confidence""",
}
GOOD_OTHERS = {
    0.9: "outstanding exceptional excellent stellar superb impressive record-breaking blockbuster terrific",
    0.7: """strong strongly stronger strongest robust robustly solid solidly healthy healthier buoyant profitable
        profitably successful successfully favorable favourable favorably favourably better best record brisk
        thriving booming lucrative bullish upbeat optimistic encouraging promising positive positively resilient
        vibrant faster winning superior great""",
    0.45: """good attractive efficient efficiently confident pleased reliable stable popular leading innovative
        productive constructive satisfied safely smoothly competitive accretive richer landed beat beats beating""",
}
BAD_VERBS = {
    0.9: "collapse defraud embezzle cripple",
    0.7: """worsen deteriorate disappoint suffer hurt harm damage struggle fail lose warn sue halt suspend
        withdraw plague impair downgrade underperform squeeze threaten miss mislead violate accuse stall languish
        stumble falter flounder default abandon delist shutter discontinue restate penalise penalize sour hamper
        disrupt derail jeopardise jeopardize stop complain indict infringe weaken""",
    0.45: """drag weigh affect pressure criticise criticize resign quit dilute oppose reject postpone cancel
        terminate dispute stagnate investigate lag caution""",
}
BAD_NOUNS = {
    0.9: """bankruptcy insolvency fraud collapse catastrophe wrongdoing scandal embezzlement bribery meltdown
        receivership""",
    0.7: """failure weakness deterioration disappointment slowdown downturn recession crisis lawsuit litigation
        recall probe shutdown shortfall setback writedown write-down impairment penalty violation breach
        misconduct damage layoff redundancy bottleneck outage strike fault defect complaint turmoil uncertainty
        headwind distress shortage delay loss fear worry threat warning negligence injunction sanction oversupply
        accident disruption closure allegation infringement underperformance downside deficit erosion default glut
        fine""",
    0.45: """problem concern risk difficulty challenge pressure doubt investigation inquiry dispute resignation
        objection cancellation obstacle burden writeoff write-off charge dilution volatility inability""",
}
BAD_OTHERS = {
    0.9: "bankrupt insolvent fraudulent disastrous disastrously catastrophic criminal dismal alarming",
    0.7: """weak weaker weakest weakly poor poorer poorly bad badly worse worst disappointing disappointingly
        sluggish difficult adverse adversely unfavorable unfavourable bleak gloomy grim bearish pessimistic
        negative negatively severe severely faulty defective troubled ailing unprofitable loss-making worrying
        worried painful harsh tough illegal unlawful dire costly overdue stagnant doubtful unsafe problematic
        struggling lacklustre lackluster tepid soft softer fined charged""",
    0.45: """slower uncertain cautious cautiously vulnerable risky inefficient expensive subdued muted challenging
        abruptly volatile unpaid unexpectedly""",
}
"""Tone by itself, by weight."""

UP_BEFORE = "rise climb soar surge jump rally rebound recover mount escalate swell skyrocket rocket leap advance"
UP_EITHER = "increase grow expand gain widen double triple quadruple accelerate"
UP_OBJECT = "raise lift boost hike bolster buoy propel"
DOWN_BEFORE = (
    "fall plunge slump tumble sink slide plummet dwindle recede slip dip retreat ebb evaporate subside wane abate"
)
DOWN_EITHER = "decrease decline drop shrink narrow slow ease erode halve diminish moderate lessen shorten fade"
DOWN_OBJECT = """cut reduce lower slash trim curb shave pare eliminate avoid avert prevent minimise minimize clear
    end resolve dismiss overcome allay dispel withstand settle"""
UP_BESIDE = "higher rising increasing growing mounting surging soaring more elevated additional greater climbing"
DOWN_BESIDE = "lower falling decreasing declining shrinking fewer less smaller dwindling slowing sliding"
UP_NOUNS = "rise increase growth jump surge climb rally gain uptick expansion acceleration hike upswing spike"
DOWN_NOUNS = "drop decline decrease fall slump plunge dip contraction reduction slide tumble cut"
"""Directions, by where the thing that moves stands; nouns: "rise in costs"."""

GOOD_THINGS = """revenue sale profit earning income margin turnover order booking backlog demand share stock eps
    ebitda ebit dividend outlook forecast guidance target traffic volume subscriber customer user cash liquidity
    productivity yield return occupancy utilisation utilization traffic royalty rating deposit output production
    shipment delivery premium visitor passenger confidence estimate valuation roe throughput spending lending
    equity retention renewal satisfaction value proceeds receipts payout result performance activity trading
    subscription membership headroom profitability growth price popularity"""
BAD_THINGS = """cost expense debt provision claim churn arrear delinquency vacancy unemployment inflation
    liability leverage expenditure tax wage rent borrowing payable attrition overhead absence injury competition
    inventory scrap waste downtime tariff loss-ratio bad-debt"""
PHRASES_GOOD_THINGS = """price target;market share;cash flow;gross profit;operating profit;net profit;
    cost savings;order book;credit rating;order intake;same-store sales;selling prices;gross margin;top line;
    bottom line;share price;stock price;return on equity;interest income;tax credit;average price"""
PHRASES_BAD_THINGS = """cost of sales;cost of revenue;cost of goods;combined ratio;loss ratio;net debt;
    interest expense;interest expenses;interest costs;inventory days;bad debt;bad loans;credit losses;
    overdue loans;problem loans;non-performing loans;cash burn;customer churn;input costs;staff turnover;
    employee turnover;tax rate;fuel prices;commodity prices;oil prices;energy prices;raw material prices;
    interest rates;mortgage rates;borrowing costs;backlog of complaints;capital expenditure"""
PHRASES_LOSSES = "net loss;operating loss;pretax loss;net losses;operating losses"
"""What is measured: good or bad news when it goes up."""

PHRASES = {
    0.9: "to a profit;to a net profit;to an operating profit;into profit",
    0.8: """in the black;all-time high;record high;new high;well received;under budget;below budget;
        ahead of schedule;turned profitable;back to profit;returned to profit;return to profit;
        returned to profitability;primary endpoint;primary goal;strong buy;to buy;to outperform;to overweight;
        ahead of plan;special dividend;share repurchase;broke even;breaks even;did well;performed well;
        never been higher;record highs""",
    0.4: """on track;on schedule;as promised;reach an agreement;reached an agreement;cost cuts;cost cutting;
        cost control;tax cut;rate cut;pay down;paid down;pays down;frees up;market leader;from a loss;after a loss""",
    -0.4: """under pressure;too poor;under review;behind schedule;over budget;stiff competition;for lack of;
        price erosion;step down;stepped down;from a profit;after a profit;hit by;fell behind;falls behind""",
    -0.8: """in the red;profit warning;going concern;chapter 11;class action;job cuts;lose their jobs;
        lost their jobs;lost money;loses money;ten-year low;all-time low;record low;multi-year low;new low;
        to sell;to underperform;to underweight;short of cash;cash crunch;cease operations;ceased operations;
        lay off;laid off;lays off;fell through;to junk;runs out of;write down;writes down;wrote down;write off;
        wrote off;go bust;went bust;price war;substantial doubt;material weakness;put on hold;job losses""",
    -0.9: "to a loss;to a net loss;to an operating loss;into a loss;into loss",
}
EMPTY = """declined to comment;declines to comment;refused to comment;no comment;not disclosed;risk management;
    risk committee;risk factors;risk factor;loss prevention;fraud detection;fraud prevention;profit and loss;
    gain or loss;gains or losses;gains and losses;record date;limited liability;default settings;good faith;
    best efforts;better known;best known;income statement;income tax;before tax;after tax;risk assessment;
    damage assessment;fair value;short-term;long-term;free of charge;not only;no doubt;crisis management;
    forward-looking statements;loss of luggage;strike price;share of;shares outstanding;best practice;
    good standing;positive pressure;in good time;performance review;due to"""
"""Fixed expressions that carry no tone, whatever their words do elsewhere."""

NEGATORS = """not no never neither nor none nothing cannot can't won't isn't aren't wasn't weren't don't doesn't
    didn't hasn't haven't hadn't couldn't wouldn't shouldn't hardly barely scarcely without nobody unlikely"""
NEGATING = """no longer;far from;instead of;rather than;free of;free from;contrary to;absence of;rule out;
    ruled out;rules out;lack of;no sign of;little sign of;no evidence of"""
FAILING = """failed to;fails to;fail to;failing to;yet to;unable to;inability to;failure to;struggled to;
    struggles to"""
NOTHING_OF = "no;without;free of;free from;absence of;lack of"

YARDSTICKS = """expectation estimate consensus forecast projection guidance target plan range view expected
    anticipated hoped predicted forecasted budget prediction hope pencilled penciled expectations"""
FEARED = "feared dreaded fears"
BETTER = "better than;stronger than;beat;beats;beating;faster than;upper end of;high end of;outpaced"
ABOVE = (
    "above;ahead of;top;tops;topped;topping;exceed;exceeds;exceeded;exceeding;surpass;surpassed;surpasses;surpassing"
)
BELOW = """below;short of;fell short of;falls short of;fall short of;falling short of;shy of;behind;trail;trailed;
    trailing;undershot;lower end of;low end of"""
WORSE = "worse than;weaker than;miss;misses;missed;missing;slower than;poorer than"
MORE = "higher than;larger than;more than;greater than;bigger than;deeper than"
LESS = "lower than;smaller than;less than;fewer than;milder than"
COMPARING = "from;compared with;compared to;against;versus;vs;vs.;in comparison with;in comparison to"

BUTS = "but;however;yet;nevertheless;nonetheless"
THOUGHS = "although;though;despite;notwithstanding;whereas;while;even though;in spite of;even as"
OFFSETS = "offset;offset by;outweighed by;cancelled out;canceled out;balanced by"
DEFINES = (
    "defines;define;defined;explains;explain;describes;describe;covers;means;refers to;is stated;are stated;measured"
)
SHARPLY = """sharply significantly substantially considerably markedly dramatically steeply heavily far much
    massive huge"""
SLIGHTLY = "slightly marginally somewhat modestly minor partly partially briefly temporarily"
FORWARD = """will expect expects expecting forecast forecasts guidance outlook anticipate anticipates target
    targets projects predict predicts foresee foresees plans intends aims guide guides guided warn warned warns
    cautioned upcoming prospects would should could may might likely confident visibility reiterated reiterates;
    next year;next quarter;coming quarter;coming year;coming quarters;coming months;full-year;full year;
    second half of the year;current quarter;this year;going forward;price target;in the second half;looking ahead;
    fiscal year"""

IRREGULAR = {
    "rise": "rose risen rising", "fall": "fell fallen falling", "grow": "grew grown growing", "win": "won winning",
    "lose": "lost losing", "sink": "sank sunk sinking", "shrink": "shrank shrunk shrinking", "slide": "slid sliding",
    "cut": "cut cutting", "hurt": "hurt hurting", "withdraw": "withdrew withdrawn withdrawing",
    "mislead": "misled misleading", "leap": "leapt leaped leaping", "overcome": "overcame overcoming",
    "withstand": "withstood withstanding", "repay": "repaid repaying", "quit": "quit quitting",
    "swell": "swelled swollen",
}  # fmt: skip
DOUBLING = frozenset(("slip", "dip", "drop", "trim", "stop", "scrap", "drag", "lag"))
